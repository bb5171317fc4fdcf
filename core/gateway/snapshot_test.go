package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/plugins"
	"github.com/berrygate/berry/sdk/abi"
	"github.com/berrygate/berry/strategies"
)

// An acquired snapshot and its strategies stay usable until its release, across any number of reloads. Finally every retired snapshot is closed.
func TestHammer(t *testing.T) {
	folder := t.TempDir()
	var files []string
	for _, strategy := range []string{"random", "least_latency", "round_robin"} { // a retired config's is closed
		files = append(files, filepath.Join(folder, strategy))
		toml := gatewaytest.Config(gatewaytest.Provider("p", "http://127.0.0.1:9"), gatewaytest.Model("m", strategy, "p"))
		must(t, os.WriteFile(files[len(files)-1], []byte(toml), 0o600))
	}
	var loads atomic.Int64
	load := func() config.Loaded {
		return config.Load(files[int(loads.Add(1))%len(files)], nil, gatewaytest.Known())
	}
	g, err := gateway.New(t.Context(), load(), gateway.Deps{
		Load: load, Build: plugins.NewBuilder().Build, Builtin: strategies.Module, CacheDir: gatewaytest.CacheDir(t),
		Log: slog.New(slog.DiscardHandler), Meter: noop.Meter{},
	})
	must(t, err)
	var stop atomic.Bool
	var users sync.WaitGroup
	var uses atomic.Int64
	for range 16 {
		users.Go(func() {
			for !stop.Load() {
				if err := use(g); err != nil {
					t.Error(err)
					return
				}
				uses.Add(1)
			}
		})
	}
	var reloads sync.WaitGroup
	for range 2 { // at once
		reloads.Go(func() {
			for range 8 {
				if r := g.Reload(t.Context(), "admin"); r.Result == gateway.Failed {
					t.Error(r.Errors)
				}
			}
		})
	}
	reloads.Wait()
	stop.Store(true)
	users.Wait()
	gatewaytest.Wait(t, "retired configs are closed", func() bool { return g.Status(time.Now()).Config.Draining == 0 })
	t.Logf("%d uses of a snapshot during %d reloads", uses.Load(), loads.Load()-1)
	must(t, g.Close(context.Background()))
}

// use calls the current snapshot's strategy.
func use(g *gateway.Gateway) error {
	s := g.Acquire()
	defer s.Release()
	m, err := s.Catalog.Lookup("m")
	if err != nil {
		return err
	}
	p, err := m.Strategy.Selector.Select(context.Background(), &core.Query{Model: "m", Candidates: make([]abi.Candidate, 1)})
	if err == nil && p.Index != 0 {
		err = fmt.Errorf("it picks %d", p.Index)
	}
	return err
}
