package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/gateway"
)

func (s *Server) adminRoutes() http.Handler {
	e := s.echo()
	e.Use(s.admitOperator)
	e.GET("/health", s.health)
	e.GET("/ready", s.ready)
	e.GET("/metrics", echo.WrapHandler(s.options.Metrics))
	e.GET("/admin/status", s.status)
	e.POST("/admin/reload", s.reload)
	e.GET("/admin/decisions", s.decisions)
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/*": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		e.GET(path, echo.WrapHandler(h))
	}
	return e
}

// reload serves POST /admin/reload. It responds with 422 if the config has errors.
func (s *Server) reload(c echo.Context) error {
	r := s.gateway.Reload(context.WithoutCancel(c.Request().Context()), "admin")
	status := http.StatusOK
	if r.Result == gateway.Failed {
		status = http.StatusUnprocessableEntity
	}
	return c.JSONPretty(status, r, "  ")
}

// decisions serves GET /admin/decisions: the latest decisions, one JSON object per line; of one model, and since a time (RFC 3339) or for a
// duration such as 5m, if the query says so.
func (s *Server) decisions(c echo.Context) error {
	var since time.Time
	if text := c.QueryParam("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			d, err := time.ParseDuration(text)
			if err != nil {
				return apierror.Invalid(http.StatusBadRequest, "invalid_since", "since", "since is a time, such as 2026-01-31T12:00:00Z, or a duration, such as 5m.")
			}
			since = time.Now().Add(-d)
		}
	}
	c.Response().Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(c.Response())
	for _, d := range s.gateway.Decisions().Since(c.QueryParam("model"), since) {
		if err := lines.Encode(d); err != nil {
			return nil //nolint:nilerr // the client disconnected
		}
	}
	return nil
}

// status serves GET /admin/status.
func (s *Server) status(c echo.Context) error {
	now := time.Now()
	return c.JSONPretty(http.StatusOK, struct {
		Version string  `json:"version"`
		Go      string  `json:"go"`
		Uptime  float64 `json:"uptime_seconds"`
		gateway.Status
	}{s.options.Version, runtime.Version(), now.Sub(s.started).Seconds(), s.gateway.Status(now)}, "  ")
}
