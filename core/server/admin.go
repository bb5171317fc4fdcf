package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/gateway"
)

func (s *Server) adminRoutes() http.Handler {
	e := s.echo()
	e.Use(s.wantToken)
	e.GET("/health", s.health)
	e.GET("/ready", s.ready)
	e.GET("/metrics", echo.WrapHandler(s.options.Metrics))
	e.GET("/admin/status", s.status)
	e.POST("/admin/reload", s.reload)
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/*": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		e.GET(path, echo.WrapHandler(h))
	}
	return e
}

// wantToken refuses whoever does not send the admin token, if there is one.
func (s *Server) wantToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		wanted := s.gateway.Config().Server.AdminToken.Reveal()
		if wanted == "" {
			return next(c)
		}
		want := sha256.Sum256([]byte(wanted))
		token, err := core.Bearer(c.Request().Header)
		if err != nil {
			return err
		}
		have := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
			s.options.Log.Warn("admin token refused", "remote", c.Request().RemoteAddr, "path", c.Request().URL.Path)
			return core.Invalid(http.StatusUnauthorized, core.CodeInvalidAPIKey, "", "The admin pages want the admin token: Authorization: Bearer ADMIN_TOKEN.")
		}
		return next(c)
	}
}

// reload answers POST /admin/reload, with 422 if the config cannot be served.
func (s *Server) reload(c echo.Context) error {
	r := s.gateway.Reload(context.WithoutCancel(c.Request().Context()), "admin")
	status := http.StatusOK
	if r.Result == gateway.Failed {
		status = http.StatusUnprocessableEntity
	}
	return c.JSONPretty(status, r, "  ")
}

// status answers GET /admin/status.
func (s *Server) status(c echo.Context) error {
	now := time.Now()
	return c.JSONPretty(http.StatusOK, struct {
		Version string  `json:"version"`
		Go      string  `json:"go"`
		Uptime  float64 `json:"uptime_seconds"`
		gateway.Status
	}{s.options.Version, runtime.Version(), now.Sub(s.started).Seconds(), s.gateway.Status(now)}, "  ")
}
