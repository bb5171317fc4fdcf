// Package gateway turns a config into a Snapshot, everything that serves it: users, models with their strategies and
// backends, and the pipeline. What outlives a config, such as the state of upstreams and compiled strategies, is the
// Gateway's.
package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/core/wasm"
)

// Parts are what a gateway needs beyond its config; main passes them in.
type Parts struct {
	Build    func(names []string, env Env) (*core.Pipeline, error) // makes the pipeline of the named stages
	Builtin  func(strategy string) ([]byte, error)                 // returns a built-in strategy's module
	CacheDir string                                                // of compiled strategies; "" keeps them in memory
	Log      *slog.Logger
	Meter    metric.Meter
}

// An Env is what a snapshot has for its stages.
type Env struct {
	Users         map[[sha256.Size]byte]*core.User // by their tokens' digests
	Catalog       *core.Catalog
	SessionHeader string
	Rules         route.Rules
	Health        upstream.Policy
	FirstToken    time.Duration
	StreamIdle    time.Duration
	DebugHeaders  bool
	Log           *slog.Logger
	Meter         metric.Meter
}

// A Gateway serves one config. It is safe for concurrent use.
type Gateway struct {
	parts     Parts
	engine    *wasm.Engine
	upstreams *upstream.Set
	current   atomic.Pointer[Snapshot]
}

// New builds the gateway for the config: it loads every strategy that the config names and lets each pick once. It fails
// with everything that stands against serving the config. The caller must Close the gateway.
func New(ctx context.Context, c *config.Config, parts Parts) (*Gateway, error) {
	engine, err := wasm.NewEngine(ctx, parts.CacheDir, parts.Log)
	if err != nil {
		return nil, err
	}
	g := &Gateway{parts: parts, engine: engine, upstreams: upstream.NewSet()}
	s, err := g.build(ctx, c)
	if err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	g.current.Store(s)
	return g, nil
}

// Snapshot returns what serves now. An exchange keeps the one that it began with.
func (g *Gateway) Snapshot() *Snapshot { return g.current.Load() }

// Close frees strategies and idle connections. No exchange may be under way.
func (g *Gateway) Close(ctx context.Context) error {
	var err error
	if s := g.current.Swap(nil); s != nil {
		err = s.close(ctx)
	}
	g.upstreams.Close()
	return errors.Join(err, g.engine.Close(ctx))
}
