// Package server is the HTTP server: the public listener, which runs each request through the current snapshot's pipeline, the admin
// listener, error responses, and the graceful shutdown.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/endpoints"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/failurelimit"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/telemetry/spans"
)

// Options are what a server needs beside the gateway and its config.
type Options struct {
	Version string
	Metrics http.Handler // the page /metrics
	Tracer  spans.Tracer // nil: no traces
	Log     *slog.Logger

	MaxPause time.Duration // of a client within its request's body; 0: 30 s
}

// A Server serves one gateway on two listeners.
type Server struct {
	gateway *gateway.Gateway
	options Options
	started time.Time

	public, admin *http.Server
	onPublic      net.Listener
	onAdmin       net.Listener
	certificate   atomic.Pointer[tls.Certificate] // the latest
	guesses       *failurelimit.Limiter           // of the admin token
	inFlight      atomic.Int64                    // requests to models
	turns         *core.Turns                     // of large bodies
	places        places                          // of requests to models, if their number is limited
	closing       atomic.Bool
	interrupt     context.CancelCauseFunc // cancels the contexts of all requests
	sockets       context.Context         // done when WebSockets must end
	underway      sync.RWMutex            // held for reading by each request
	closed        bool                    // guarded by underway
}

// Listen listens on the gateway's two addresses. Requests wait until Serve.
func Listen(ctx context.Context, g *gateway.Gateway, o Options) (*Server, error) {
	const maxPause = 30 * time.Second
	c := g.Config().Server
	o.MaxPause = cmp.Or(o.MaxPause, maxPause)
	guesses, err := failurelimit.New(guessesPerMinute)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{gateway: g, options: o, started: time.Now(), guesses: guesses, turns: core.NewTurns()}
	requests, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	s.interrupt = interrupt
	s.public, s.admin = s.httpServer(s.admit(s.routes())), s.httpServer(s.admit(s.adminRoutes()))
	sockets, closeSockets := context.WithCancel(requests)
	s.sockets = sockets
	s.public.RegisterOnShutdown(closeSockets)
	s.public.BaseContext = func(net.Listener) context.Context { return requests }
	if c.Certificate != nil {
		s.certificate.Store(c.Certificate)
		s.public.TLSConfig = &tls.Config{GetCertificate: s.present, MinVersion: tls.VersionTLS12}
	}
	if s.onPublic, err = listen(ctx, c.Listen); err != nil {
		return nil, fmt.Errorf("server: listen: %w", err)
	}
	if s.onAdmin, err = listen(ctx, c.AdminListen); err != nil {
		return nil, errors.Join(fmt.Errorf("server: admin_listen: %w", err), s.onPublic.Close())
	}
	return s, nil
}

// present returns the public listener's certificate of the current config. If that has none any more, which needs a restart to take effect,
// it returns the latest one.
func (s *Server) present(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.gateway.Config().Server.Certificate; c != nil {
		s.certificate.Store(c)
	}
	return s.certificate.Load(), nil
}

// Addr returns the address of the public listener.
func (s *Server) Addr() string { return s.onPublic.Addr().String() }

// AdminAddr returns the address of the admin listener.
func (s *Server) AdminAddr() string { return s.onAdmin.Addr().String() }

// Serve serves requests until ctx is done. Then /ready fails for the config's delay, new requests are rejected, and exchanges in flight have
// the grace period to finish; the remaining ones are aborted with an error. It returns when all have ended.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() {
		if s.public.TLSConfig != nil {
			failed <- s.public.ServeTLS(s.onPublic, "", "")
			return
		}
		failed <- s.public.Serve(s.onPublic)
	}()
	go func() { failed <- s.admin.Serve(s.onAdmin) }()

	var err error
	running := 2
	select {
	case err = <-failed:
		running--
	case <-ctx.Done():
	}
	s.closing.Store(true)
	s.shutdown()
	for range running {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func (s *Server) shutdown() {
	c := s.gateway.Config().Server
	delay, grace := config.Seconds(c.ShutdownDelaySeconds), config.Seconds(c.ShutdownGraceSeconds)
	s.options.Log.Info("shutting down", "delay", delay.String(), "grace", grace.String())
	time.Sleep(delay) // for load balancers to notice /ready
	err := s.drain(grace)
	if err != nil {
		s.options.Log.Warn("exchanges are ended at the end of the grace time", "in_flight", s.inFlight.Load())
		s.interrupt(apierror.ErrShutdown)
		err = s.drain(lastWords)
	}
	if err != nil {
		s.options.Log.Warn("connections are cut", "error", errors.Join(err, s.public.Close()))
	}
	if err := s.admin.Close(); err != nil {
		s.options.Log.Warn("the admin listener did not close", "error", err)
	}
	s.underway.Lock() // net/http's Close does not wait for requests
	s.closed = true
	s.underway.Unlock()
	s.interrupt(nil)
}

// lastWords is how long clients may take to read the error that aborts their exchange after the grace period.
const lastWords = 2 * time.Second

// drain closes the public listener and waits for its requests to end, up to the grace period. Once no request is being served, it waits for
// slow readers no longer than lastWords.
func (s *Server) drain(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		const look = lastWords / 20
		for idle := time.Duration(0); idle < lastWords; idle += look {
			select {
			case <-ctx.Done():
				return
			case <-time.After(look):
			}
			if !s.underway.TryLock() { // a request is being served
				idle = 0
				continue
			}
			s.underway.Unlock()
		}
		_ = s.public.Close() // so that Shutdown returns
	}()
	return s.public.Shutdown(ctx)
}

// authStage is the name of the stage that authenticates.
const authStage = "auth"

// unreadPatience is how long net/http waits for an unread body before it sends the response.
const unreadPatience = 2 * time.Second

// unsentPatience is how long a client may take to read the rest of its response after the request was served.
const unsentPatience = 2 * time.Minute

// limitWrites sets the deadline of writes. It does nothing over HTTP/2, where the deadline would end a stream even if nothing is written.
func limitWrites(w http.ResponseWriter, r *http.Request, until time.Time) {
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).SetWriteDeadline(until) // it fails if the connection is gone
	}
}

// admit admits requests until the server has closed, since the gateway closes next.
func (s *Server) admit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.underway.RLock()
		defer s.underway.RUnlock()
		if s.closed {
			panic(http.ErrAbortHandler)
		}
		if r.ContentLength != 0 { // a handler that reads the body extends this; one that does not must not wait for it
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadPatience)) // it fails if the connection is gone
		}
		w.Header()["X-Content-Type-Options"] = []string{"nosniff"} // responses are not web pages of the gateway
		watch(w, r)
		if r.Method == http.MethodHead {
			w, r = asGet(w, r)
		}
		limitWrites(w, r, time.Time{}) // the previous request's
		h.ServeHTTP(w, r)
		limitWrites(w, r, time.Now().Add(unsentPatience))
		linger(w, r, lingerMost*s.gateway.Config().Server.MaxBodyBytes)
	})
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
}

func (s *Server) routes() http.Handler {
	e := s.echo()
	e.Use(middleware.CORS())
	for _, op := range endpoints.All() {
		serve := s.exchange
		if op.Path == core.Realtime {
			serve = s.realtime
		}
		e.Add(op.Method, strings.Replace(op.Route(), "{id}", ":id", 1), func(c echo.Context) error { return serve(c, op) })
	}
	e.GET("/v1/models", s.models)
	e.GET("/v1/models/*", s.model)
	e.GET("/health", s.health)
	e.GET("/ready", s.ready)
	return e
}

// echo returns an Echo whose errors and panics are error responses.
func (s *Server) echo() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		w, r, out := c.Response().Writer, c.Request(), routeError(c, err)
		if out.Code == apierror.CodeInternalError {
			id := requestID("")
			w.Header().Set("X-Request-Id", id)
			s.options.Log.Error("request failed", "request_id", id, "route", c.Path(), "error", err)
		}
		s.refuse(w, r, out)
	}
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisableErrorHandler: true, LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		return fmt.Errorf("panic: %w\n%s", err, stack)
	}}))
	return e
}

// health serves /health: the process is alive; how many models are available.
func (s *Server) health(c echo.Context) error {
	snapshot := s.gateway.Acquire()
	defer snapshot.Release()
	total, servable := len(snapshot.Catalog.Models()), snapshot.Servable(time.Now())
	status := "ok"
	if servable < total {
		status = "degraded"
	}
	return c.JSON(http.StatusOK, map[string]any{"status": status, "models": map[string]int{"total": total, "servable": servable}})
}

// ready serves /ready: whether new requests are welcome.
func (s *Server) ready(c echo.Context) error {
	if s.closing.Load() {
		return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "shutting down"})
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}
