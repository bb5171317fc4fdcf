package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/wasm"
)

// maxModule bounds a strategy's file, in bytes.
const maxModule = 64 << 20

// load loads, side by side, every strategy that the config names: those of enabled models, the fallbacks of these, and the
// operator's own. It fails with all that cannot be loaded.
func (g *Gateway) load(ctx context.Context, c *config.Config) (map[string]*wasm.Strategy, error) {
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		errs   []error
		loaded = map[string]*wasm.Strategy{}
	)
	for name := range named(c) {
		group.Go(func() {
			began := time.Now()
			s, err := g.loadOne(ctx, c, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			loaded[name] = s
			g.parts.Log.Info("strategy loaded", "strategy", name, "sha256", s.Digest, "ms", time.Since(began).Milliseconds())
		})
	}
	group.Wait()
	if len(errs) == 0 {
		return loaded, nil
	}
	for _, s := range loaded {
		errs = append(errs, s.Close(ctx))
	}
	return nil, errors.Join(errs...)
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

func (g *Gateway) loadOne(ctx context.Context, c *config.Config, name string) (*wasm.Strategy, error) {
	own := c.Strategies[name]
	if own == nil {
		module, err := g.parts.Builtin(name)
		if err != nil {
			return nil, err
		}
		return g.engine.Load(ctx, wasm.Source{Name: name, Module: module})
	}
	src, err := source(name, own)
	if err != nil {
		return nil, fmt.Errorf("strategies.%s: %w", name, err)
	}
	return g.engine.Load(ctx, src)
}

// source reads the module of one of the operator's own strategies, and holds it against its pin.
func source(name string, s *config.Strategy) (wasm.Source, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return wasm.Source{}, err
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, maxModule+1))
	if err != nil {
		return wasm.Source{}, err
	}
	if len(module) > maxModule {
		return wasm.Source{}, fmt.Errorf("%s is larger than %d bytes", s.Path, maxModule)
	}
	if have := wasm.Digest(module); s.SHA256 != "" && s.SHA256 != have {
		return wasm.Source{}, fmt.Errorf("%s has the SHA-256 %s, not the one that sha256 pins; check the file, then correct the pin", s.Path, have)
	}
	src := wasm.Source{Name: name, Module: module}
	if len(s.Config) > 0 {
		if src.Config, err = json.Marshal(s.Config); err != nil {
			return wasm.Source{}, fmt.Errorf("config: %w", err)
		}
	}
	return src, nil
}
