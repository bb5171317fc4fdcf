package gateway_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/guesttest"
)

// The custom example's module and one that picks the other provider replace each other under load. Traffic follows, no request fails, and a
// broken replacement has no effect. (BERRY_SOAK=1 replaces it 100 times.)
func TestModuleIsReplacedUnderLoad(t *testing.T) {
	swaps := 8
	if soaking() {
		swaps = 100
	}
	cheapest, dearest := guesttest.Go(t, "../../examples/cheapest"), guesttest.Go(t, "./testdata/dearest")
	toml := gatewaytest.Config("[strategies.mine]\npath = \"mine.wasm\"\n[models.m]\nstrategy = \"mine\"\n")
	for i, name := range []string{"cheap", "dear"} {
		url := gatewaytest.Serve(t, &fakeprovider.Provider{Name: name, TokenDelay: 5 * time.Millisecond})
		toml += fmt.Sprintf("[[models.m.backends]]\nprovider = %q\nmodel = \"one\"\ncost_output = %d\n", name, 1+i) + gatewaytest.Provider(name, url)
	}
	g := gatewaytest.StartFiles(t, toml, map[string][]byte{"mine.wasm": cheapest})
	file := filepath.Join(filepath.Dir(g.File), "mine.wasm")
	answers := func() string {
		response, _ := g.Chat(t, "m")
		return response.Header.Get("X-Berry-Provider")
	}
	replace := func(module []byte, by string) time.Duration {
		must(t, os.WriteFile(file, module, 0o600))
		written := time.Now()
		gatewaytest.Wait(t, "traffic follows", func() bool { return answers() == by })
		return time.Since(written)
	}
	t.Logf("a module that is compiled: traffic followed after %v", replace(dearest, "dear")) // later on the code comes from the cache
	replace(cheapest, "cheap")

	clients := startLoad(t, g, 64)
	var times []time.Duration
	for i := range swaps {
		replacement, by := dearest, "dear"
		if i%2 == 1 {
			replacement, by = cheapest, "cheap"
		}
		times = append(times, replace(replacement, by))
		if i%10 == 9 {
			must(t, os.WriteFile(file, replacement[:len(replacement)/2], 0o600))
			gatewaytest.Wait(t, "the broken module is noticed", func() bool { return g.Status(t).LastReload.Result == gateway.Failed })
			if now := answers(); now != by {
				t.Errorf("a broken module: %s answers, not %s", now, by)
			}
		}
	}
	clients.end(t)
	slices.Sort(times)
	t.Logf("traffic followed after %v, at most %v", times[len(times)/2], times[len(times)-1])
}

// A stateful strategy keeps its state across reloads that do not replace it.
func TestStateSurvivesReloads(t *testing.T) {
	p := gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{}))
	g := start(t, "learner", p, gatewaytest.Model("m", "learner", "p"))
	b, err := os.ReadFile(g.File)
	must(t, err)
	g.Chat(t, "m")
	g.Chat(t, "m")
	g.Rewrite(t, strings.Replace(string(b), `model = "one"`, "model = \"one\"\nweight = 7", 1))
	g.Chat(t, "m")
	if !strings.Contains(g.Log.String(), `; outcome 3"`) {
		t.Error("the state is lost")
	}
	g.Rewrite(t, string(b)+"[strategies.learner.config]\ncount = 100\n")
	g.Chat(t, "m")
	if !strings.Contains(g.Log.String(), `; outcome 101"`) {
		t.Error("with another config it is not another strategy")
	}
}

// Repeated replacement of modules leaks neither memory nor goroutines. Every hundredth module is broken, and no request fails. (BERRY_SOAK=1
// replaces it 2,000 times.)
func TestSwapsLeaveNothing(t *testing.T) {
	swaps, first := 12, 4
	if soaking() {
		swaps, first = 2000, 100
	}
	modules := [][]byte{guesttest.Go(t, "../../examples/cheapest"), guesttest.Go(t, "./testdata/dearest")}
	var connections atomic.Int64 // to the provider
	provider := httptest.NewUnstartedServer(&fakeprovider.Provider{TokenDelay: time.Millisecond})
	provider.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Add(-1)
		}
	}
	provider.Start()
	t.Cleanup(provider.Close)
	toml := gatewaytest.Config(gatewaytest.Provider("p", provider.URL)+"idle_timeout_seconds = 1\n", gatewaytest.Model("m", "mine", "p"), "[strategies.mine]\npath = \"mine.wasm\"\n")
	g := gatewaytest.StartFiles(t, toml, map[string][]byte{"mine.wasm": modules[0]})
	file := filepath.Join(filepath.Dir(g.File), "mine.wasm")
	var early, late rest
	clients := startLoad(t, g, 16)
	for i := 1; i <= swaps; i++ {
		module, want := modules[i%2], gateway.Applied
		if i%100 == 0 || i == swaps/2 {
			module, want = module[:len(module)/2], gateway.Failed
		}
		must(t, os.WriteFile(file, module, 0o600))
		var came gateway.Reload
		must(t, json.Unmarshal([]byte(reload(t, g)), &came))
		if came.Result != want && came.Result != gateway.Unchanged { // the watcher may have been first
			t.Fatalf("swap %d: %s", i, came.Result)
		}
		g.Log.Reset()
		switch i {
		case first:
			clients.end(t)
			early = atRest(t, g, &connections)
			clients = startLoad(t, g, 16)
		case swaps:
			clients.end(t)
			late = atRest(t, g, &connections)
		}
	}
	t.Logf("after %d swaps %d MiB and %d goroutines, after %d %d MiB and %d", first, early.memory>>20, early.goroutines, swaps, late.memory>>20, late.goroutines)
	if late.goroutines > early.goroutines {
		t.Errorf("%d goroutines are left, %d before", late.goroutines, early.goroutines)
	}
	if soaking() && late.memory > early.memory*11/10 {
		t.Errorf("%d MiB are resident, %d before", late.memory>>20, early.memory>>20)
	}
}

// A rest is what a process that nobody asks anything holds.
type rest struct{ memory, goroutines int }

// connections are those to its provider, whose number depends on the traffic before: it waits until they are closed.
func atRest(t *testing.T, g *gatewaytest.Gateway, connections *atomic.Int64) rest {
	t.Helper()
	gatewaytest.Wait(t, "unused connections are closed", func() bool { return connections.Load() == 0 })
	settle(t, g)
	return rest{resident(t), runtime.NumGoroutine()}
}
