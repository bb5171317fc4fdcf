package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/endpoints"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/telemetry/semconv"
)

// exchange serves one request for a model.
func (s *Server) exchange(c echo.Context, op core.Operation) error {
	snapshot := s.gateway.Acquire()
	defer snapshot.Release()
	x := s.begin(c, snapshot, op)
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	defer func() {
		if err := x.Body.Upload.End(); err != nil {
			s.options.Log.Warn("what was kept of an upload is not let go", "request_id", x.ID, "error", err)
		}
	}()
	if most := snapshot.Config.Server.MaxInFlight; most > 0 {
		p := &place{places: &s.places, x: x, most: most}
		defer p.leave()
		x.Place = p
	}
	s.run(x, snapshot, snapshot.Pipeline, nil)
	return nil
}

// begin makes the exchange of a request.
func (s *Server) begin(c echo.Context, snapshot *gateway.Snapshot, op core.Operation) *core.Exchange {
	x := &core.Exchange{
		ID: requestID(c.Request().Header.Get("X-Request-Id")), Operation: op, Request: c.Request(), Writer: c.Response().Writer,
		Started: time.Now(), MaxBody: snapshot.Config.Server.MaxBodyBytes,
		MaxPause: s.options.MaxPause, Turns: s.turns, DecisionLog: s.gateway.Decisions(),
	}
	x.Writer.Header()["X-Request-Id"] = []string{x.ID}
	if name := op.Protocol.RequestID(); name != "" { // a provider's own replaces it
		x.Writer.Header()[name] = []string{x.ID}
	}
	return x
}

// requestID returns the client's request id, if it is safe to log, or a new one.
func requestID(sent string) string {
	const longest = 64
	if sent == "" || len(sent) > longest {
		return rand.Text()
	}
	for _, r := range sent {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return rand.Text()
		}
	}
	return sent
}

// run runs the snapshot's pipeline p and concludes the exchange. answer, if not nil, writes the response after the last stage.
func (s *Server) run(x *core.Exchange, snapshot *gateway.Snapshot, p *core.Pipeline, answer func() error) {
	ctx := s.trace(x)
	err := s.walk(ctx, x, p)
	if err == nil && answer != nil {
		x.Status = http.StatusOK
		err = answer()
	}
	s.conclude(x, err)
	p.Observe(ctx, x)
	s.access(ctx, x, snapshot.Config.Telemetry.LogSampleRatio)
	endTrace(x)
	if x.Aborted {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
}

// conclude sets the outcome of an exchange that ended with the error, or nil, and writes an error response if nothing was written.
func (s *Server) conclude(x *core.Exchange, err error) {
	x.Abandon(time.Now())
	x.Outcome = core.Outcome{Status: x.Status, Err: err, Stage: x.Stage}
	if err != nil {
		e := asError(err)
		gone := e.Status == apierror.StatusClientGone
		if !x.Committed {
			s.refuse(x.Writer, x.Request, e)
		}
		if !x.Committed || gone {
			x.Outcome.Status = e.Status
		}
		if gone { // a client that has only stopped sending would take what net/http sends now for a complete response
			x.Abort()
		}
	}
	x.Outcome.Duration = time.Since(x.Started)
	if x.User != nil {
		x.User.Counters.Count(x)
	}
}

// walk runs the pipeline. It turns a panic into an internal_error.
func (s *Server) walk(ctx context.Context, x *core.Exchange, p *core.Pipeline) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = apierror.Internal(fmt.Errorf("panic: %v", r))
			if x.Committed {
				x.Abort()
			}
			x.Trace.Root().Event(semconv.EventException, time.Now(), semconv.ExceptionType.String(fmt.Sprintf("%T", r)), semconv.ExceptionMessage.String(fmt.Sprint(r)))
			s.options.Log.ErrorContext(ctx, "panic", "request_id", x.ID, "stage", x.Stage, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	return p.Run(ctx, x)
}

// models serves GET /v1/models: the models that the user may use.
func (s *Server) models(c echo.Context) error {
	snapshot := s.gateway.Acquire()
	defer snapshot.Release()
	x := s.begin(c, snapshot, core.Operation{Name: "models", Protocol: endpoints.Protocol(c.Request())})
	s.run(x, snapshot, snapshot.Listing, func() error {
		models := slices.DeleteFunc(snapshot.Catalog.Models(), func(m *core.Model) bool { return !snapshot.Visible(x.User, m) })
		names := make([]string, len(models))
		for i, m := range models {
			names[i] = m.Name
		}
		list, err := x.Operation.Protocol.Models(names, x.Request.URL.Query(), s.started)
		if err != nil {
			return err
		}
		return writeJSON(x.Writer, list)
	})
	return nil
}

// model serves GET /v1/models/{id}. A model that the user may not use is not found.
func (s *Server) model(c echo.Context) error {
	snapshot := s.gateway.Acquire()
	defer snapshot.Release()
	x := s.begin(c, snapshot, core.Operation{Name: "models", Protocol: endpoints.Protocol(c.Request())})
	s.run(x, snapshot, snapshot.Listing, func() error {
		name := strings.TrimPrefix(x.Request.URL.Path, "/v1/models/") // Echo's parameter does not decode %2F
		m, err := snapshot.Catalog.Lookup(name)
		if err == nil && !snapshot.Visible(x.User, m) {
			err = core.ModelNotFound(name)
		}
		if err != nil {
			return err
		}
		return writeJSON(x.Writer, x.Operation.Protocol.Model(m.Name, s.started))
	})
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return apierror.Internal(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if _, err = w.Write(b); err != nil {
		return apierror.ClientGone(err)
	}
	return nil
}

// asError returns err as an error response.
func asError(err error) *apierror.Error {
	var e *apierror.Error
	if errors.As(err, &e) {
		return e
	}
	return apierror.Internal(err)
}
