package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/wasm"
)

// load loads, concurrently, every strategy that the config names: those of enabled models, their fallbacks, and the operator's own. It fails
// with all errors.
func (g *Gateway) load(ctx context.Context, l config.Loaded, of *spans.Trace) (map[string]*wasm.Strategy, error) {
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		errs   []error
		loaded = map[string]*wasm.Strategy{}
	)
	for _, name := range slices.Sorted(maps.Keys(named(l.Config))) {
		began := time.Now()
		group.Go(func() {
			s, err := g.loadOne(ctx, l, name)
			mu.Lock()
			defer mu.Unlock()
			explainLoad(of.BeginAt(semconv.SpanLoadStrategy, trace.SpanKindInternal, began), name, s, err)
			if err != nil {
				errs = append(errs, err)
				return
			}
			loaded[name] = s
			if now := g.current.Load(); now != nil && now.strategies[name] == s {
				return // it is in use already
			}
			g.parts.Log.Info("strategy loaded", "strategy", name, "sha256", s.Digest, "ms", time.Since(began).Milliseconds())
		})
	}
	group.Wait()
	if len(errs) == 0 {
		return loaded, nil
	}
	return nil, errors.Join(append(errs, closeAll(ctx, loaded))...)
}

// named returns the names of the strategies that c needs.
func named(c *config.Config) map[string]bool {
	names := map[string]bool{}
	for name := range c.Strategies {
		names[name] = true
	}
	for _, m := range c.Models {
		if m.Enabled {
			names[m.Strategy] = true
			if m.Shadow != "" {
				names[m.Shadow] = true
			}
		}
	}
	for _, name := range slices.Collect(maps.Keys(names)) {
		names[fallback(c, name)] = true
	}
	return names
}

// fallback returns the name of the strategy that picks when the named one faults.
func fallback(c *config.Config, name string) string {
	if s := c.Strategies[name]; s != nil {
		return s.Fallback
	}
	return config.DefaultFallback
}

// loadOne loads a strategy: one of the operator's own, or a built-in one.
func (g *Gateway) loadOne(ctx context.Context, l config.Loaded, name string) (*wasm.Strategy, error) {
	src := wasm.Source{Name: name, Module: l.Modules[name]}
	var err error
	if own := l.Config.Strategies[name]; own == nil {
		src.Module, err = g.parts.Builtin(name)
	} else {
		src.Fuel, src.Memory = own.Fuel, own.MemoryMB<<20
		if len(own.Config) > 0 {
			src.Config, err = json.Marshal(own.Config)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("strategies.%s: %w", name, err)
	}
	return g.engine.Load(ctx, src)
}
