// Package gateway builds a Snapshot from a config: users, models with their strategies and backends, and the pipeline. The Gateway owns what
// survives a reload, such as upstreams and compiled strategies; it swaps the snapshot when the config changes, and checks the providers'
// health.
package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/decisionlog"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/core/wasm"
)

// Deps are what a gateway needs beside its config.
type Deps struct {
	Load     func() config.Loaded                                        // reads the config
	Build    func(names []string, env StageDeps) (*core.Pipeline, error) // makes the pipeline of the named stages
	Builtin  func(strategy string) ([]byte, error)                       // returns a built-in strategy's module
	CacheDir string                                                      // of compiled strategies; "": in memory only
	Log      *slog.Logger
	Meter    metric.Meter
	Tracer   spans.Tracer         // nil: no traces
	Serving  func(*config.Config) // called with each config that is served from now on; may be nil
}

// A StageDeps is what a snapshot offers to its stages.
type StageDeps struct {
	Users   map[[sha256.Size]byte]*core.User // by their tokens' digests
	Catalog *core.Catalog
	Config  *config.Config
	Rules   route.Rules
	Health  upstream.Policy
	Log     *slog.Logger
	Meter   metric.Meter
}

// A Gateway serves the current config. It is safe for concurrent use.
type Gateway struct {
	parts     Deps
	engine    *wasm.Engine
	upstreams *upstream.Set
	decisions *decisionlog.Log
	watcher   *config.Watcher
	counters  counters
	started   *config.Config // at the process's start
	current   atomic.Pointer[Snapshot]
	swapped   chan struct{} // receives after each swap

	live  sync.WaitGroup // open snapshots
	alive atomic.Int64   // their number

	gauges metric.Registration

	reloading sync.Mutex
	files     config.Files // of the current snapshot; guarded by reloading
	tried     config.Files // of the last reload; guarded by reloading
	doubt     config.Doubt // about a file that shrinks; guarded by reloading
	last      atomic.Pointer[Reload]
}

// New builds the gateway for what was loaded: it loads every strategy that the config names and lets each pick once. It fails with all
// errors at once. The caller must Close the gateway.
func New(ctx context.Context, l config.Loaded, parts Deps) (*Gateway, error) {
	if l.Err != nil {
		return nil, l.Err
	}
	engine, err := wasm.NewEngine(ctx, parts.CacheDir, parts.Log)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		parts: parts, engine: engine, watcher: config.NewWatcher(), decisions: decisionlog.New(l.Config.Telemetry.Decisions),
		started: l.Config, swapped: make(chan struct{}, 1),
	}
	g.upstreams = upstream.NewSet(g.noteHealth)
	r := &Reload{At: time.Now(), Cause: "start", Result: Applied, SHA256: l.Digest, Warnings: texts(l.Warnings)}
	err = g.counters.make(parts.Meter)
	if err == nil {
		err = g.begin(ctx, l, r)
	}
	if err == nil {
		g.gauges, err = g.observe(parts.Meter)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	g.tried = l.Files
	g.last.Store(r)
	return g, nil
}

// begin serves the first config.
func (g *Gateway) begin(ctx context.Context, l config.Loaded, r *Reload) error {
	ctx, of := spans.Begin(ctx, g.parts.Tracer, semconv.SpanReload, trace.SpanKindInternal, time.Now())
	defer of.End()
	err := g.apply(ctx, l, of)
	if err != nil {
		r.Result, r.Errors = Failed, list(err)
	}
	explainReload(of.Root(), r)
	return err
}

// Run reloads the config when a file changes or hangup receives, and checks the providers' health, until ctx is done.
func (g *Gateway) Run(ctx context.Context, hangup <-chan os.Signal) {
	var checking sync.WaitGroup
	checking.Go(func() { g.checkHealth(ctx) })
	defer checking.Wait()
	g.reloading.Lock()
	g.watcher.Watch(g.files)
	g.reloading.Unlock()
	for {
		select {
		case <-g.watcher.C:
			g.Reload(ctx, ByFile)
		case <-hangup:
			g.Reload(ctx, "SIGHUP")
		case <-ctx.Done():
			return
		}
	}
}

// Acquire returns the current snapshot. It remains usable until Release, whatever is reloaded meanwhile. Acquire must not be called after
// Close.
func (g *Gateway) Acquire() *Snapshot {
	for {
		if s := g.current.Load(); s.acquire() {
			return s
		}
	}
}

// Decisions returns the log of the latest decisions.
func (g *Gateway) Decisions() *decisionlog.Log { return g.decisions }

// Config returns the current config.
func (g *Gateway) Config() *config.Config { return g.current.Load().Config }

// Close retires the snapshot and returns when the last exchange has released it. Run must have returned.
func (g *Gateway) Close(ctx context.Context) error {
	g.watcher.Close()
	var err error
	if g.gauges != nil {
		err = g.gauges.Unregister()
	}
	if s := g.current.Load(); s != nil {
		s.Release()
	}
	g.live.Wait()
	return errors.Join(err, g.engine.Close(ctx))
}

// counters count events outside of exchanges.
type counters struct{ reloads, health metric.Int64Counter }

func (c *counters) make(m metric.Meter) error {
	var err, err2 error
	c.reloads, err = m.Int64Counter(semconv.MetricReloads, metric.WithDescription("Reloads of the config by cause and result."))
	c.health, err2 = m.Int64Counter(semconv.MetricHealthChanges, metric.WithDescription("Changes of a backend's or a whole provider's health, by the new state."))
	if err = errors.Join(err, err2); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}
