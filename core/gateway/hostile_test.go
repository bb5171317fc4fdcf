package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/guesttest"
	"github.com/berrygate/berry/internal/readmetest"
)

// soaking reports whether tests run for their full duration and compare measurements.
func soaking() bool { return os.Getenv("BERRY_SOAK") != "" }

// A strategy can do no harm: whatever a guest does when it is asked, under load, no request fails, the answers of other models
// come as fast as before, the process stays within bounds, and the status names the reason. (BERRY_SOAK=1 loads each for five
// seconds, and holds the times against each other.)
func TestHostileGuests(t *testing.T) {
	const backends = 6
	const bound = 4*16<<20 + 128<<20 // two instances, and each once more while it is replaced; and the stacks of two calls
	var providers, models strings.Builder
	for i := range backends {
		id := "p" + strconv.Itoa(i)
		providers.WriteString(gatewaytest.Provider(id, gatewaytest.Serve(t, &fakeprovider.Provider{Name: id})))
	}
	for _, m := range []string{"hostile", "healthy"} {
		fmt.Fprintf(&models, "[models.%s]\nstrategy = %q\n", m, m)
		for i := range backends {
			fmt.Fprintf(&models, "[[models.%s.backends]]\nprovider = \"p%d\"\nmodel = \"one\"\n", m, i)
		}
	}
	toml := gatewaytest.Config(providers.String(), models.String(),
		"[strategies.hostile]\npath = \"hostile.wasm\"\nfallback = \"round_robin\"\n[strategies.healthy]\npath = \"healthy.wasm\"\nfallback = \"round_robin\"\n")
	healthy := guesttest.Text(t, hostile{}.text())
	clients, long := 8, 60*time.Millisecond
	if soaking() {
		clients, long = 32, 5*time.Second
	}
	for _, h := range atWork() {
		t.Run(h.name, func(t *testing.T) {
			g := gatewaytest.StartFiles(t, toml, map[string][]byte{"hostile.wasm": guesttest.Text(t, h.text()), "healthy.wasm": healthy})
			before := resident(t)
			r := race(t, g, clients, long)
			t.Logf("%d answers; 99 of 100 within %v, of the healthy strategy's model %v; %d MiB more than before", r.answers, r.p99[0], r.p99[1], (r.peak-before)>>20)
			if len(r.failures) > 0 {
				t.Errorf("%d requests failed; the first: %s", len(r.failures), r.failures[0])
			}
			if r.peak-before > bound {
				t.Errorf("the process has grown by %d MiB", (r.peak-before)>>20)
			}
			if soaking() && r.p99[0] > 3*r.p99[1] {
				t.Errorf("99 of 100 within %v; of a healthy strategy's, %v", r.p99[0], r.p99[1])
			}
			s := strategy(t, g, "hostile")
			for i := 0; i < 500 && s.State == "healthy" && h.shows != ""; i++ { // a busy machine has not come to five faults yet
				g.Chat(t, "hostile")
				s = strategy(t, g, "hostile")
			}
			reason := ""
			if s.LastFault != nil {
				reason = s.LastFault.Reason
			}
			if reason != h.shows || reason != "" && (s.State != "quarantined" || s.Reason == "") {
				t.Errorf("status says %+v %+v; want %q", s, s.LastFault, h.shows)
			}
			if s := strategy(t, g, "healthy"); s.Faults > 0 {
				t.Errorf("the healthy one has %d faults", s.Faults)
			}
		})
	}
}

// A module that is not a strategy, or misbehaves while it is loaded, never serves; the current strategy keeps serving.
func TestHostileModules(t *testing.T) {
	good := guesttest.Text(t, hostile{}.text())
	toml := gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{})),
		gatewaytest.Model("hostile", "mine", "p"), gatewaytest.Model("healthy", "mine", "p"), "[strategies.mine]\npath = \"mine.wasm\"\n")
	g := gatewaytest.StartFiles(t, toml, map[string][]byte{"mine.wasm": good})
	file, before := filepath.Join(filepath.Dir(g.File), "mine.wasm"), strategy(t, g, "mine").SHA256
	for _, h := range atTheDoor() {
		t.Run(h.name, func(t *testing.T) {
			done := make(chan ran)
			go func() { done <- race(t, g, 8, 150*time.Millisecond) }()
			module := guesttest.Text(t, h.text())
			if h.module != nil {
				module = h.module(good)
			}
			noticed := g.Status(t).LastReload.At
			must(t, os.WriteFile(file, module, 0o600))
			var s gateway.Status
			gatewaytest.Wait(t, "the module is noticed", func() bool { s = g.Status(t); return s.LastReload.At.After(noticed) })
			if s.LastReload.Result != gateway.Failed || !strings.Contains(strings.Join(s.LastReload.Errors, "\n"), h.shows) {
				t.Errorf("%+v; want %q", s.LastReload, h.shows)
			}
			if now := strategy(t, g, "mine"); now.SHA256 != before || now.Faults > 0 {
				t.Errorf("%+v serves", now)
			}
			if r := <-done; len(r.failures) > 0 || r.answers == 0 {
				t.Errorf("%d answers, %v", r.answers, r.failures)
			}
			must(t, os.WriteFile(file, good, 0o600))
			gatewaytest.Wait(t, "the good one is back", func() bool { return g.Status(t).LastReload.Result != gateway.Failed })
		})
	}
}

// A replaced module starts without the faults of its predecessor.
func TestNewModuleStartsClean(t *testing.T) {
	trap, good := guesttest.Text(t, hostile{sel: "unreachable"}.text()), guesttest.Text(t, hostile{}.text())
	toml := gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{})), gatewaytest.Model("m", "mine", "p"),
		"[strategies.mine]\npath = \"mine.wasm\"\n")
	g := gatewaytest.StartFiles(t, toml, map[string][]byte{"mine.wasm": trap})
	gatewaytest.Wait(t, "quarantine", func() bool { g.Chat(t, "m"); return strategy(t, g, "mine").State != "healthy" })
	must(t, os.WriteFile(filepath.Join(filepath.Dir(g.File), "mine.wasm"), good, 0o600))
	reload(t, g)
	g.Chat(t, "m")
	if s := strategy(t, g, "mine"); s.State != "healthy" || s.Faults != 0 || s.Fuel.Most == 0 {
		t.Errorf("%+v", s)
	}
}

// A stateful strategy that burns nearly all of its fuel with every call delays those who ask it, and not others: they are
// answered as fast as beside one that burns nothing. (BERRY_SOAK=1 holds the times against each other.)
func TestBurningStrategy(t *testing.T) {
	calm := hostile{abi: "(i32.const 65537)", fields: `(func (export "berry_observe") (param i32))`}
	burning := calm
	burning.sel = `(local.set $len (i32.const 120000)) (loop $l (local.set $len (i32.sub (local.get $len) (i32.const 1))) (br_if $l (local.get $len)))`
	var toml strings.Builder
	for _, name := range []string{"calm", "burning"} {
		toml.WriteString(gatewaytest.Model(name, name, "p") + "[strategies." + name + "]\npath = \"" + name + ".wasm\"\n")
	}
	g := gatewaytest.StartFiles(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{})), gatewaytest.Model("other", "round_robin", "p"), toml.String()),
		map[string][]byte{"calm.wasm": guesttest.Text(t, calm.text()), "burning.wasm": guesttest.Text(t, burning.text())})
	long := 300 * time.Millisecond
	if soaking() {
		long = 10 * time.Second
	}
	const pause = 5 * time.Millisecond
	beside := func(model string) time.Duration {
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() { ask(t, g, model, 4, pause, time.Now().Add(long)) })
		times := ask(t, g, "other", 4, pause, time.Now().Add(long))
		return times[len(times)*99/100]
	}
	beside("calm") // warm
	quiet, busy := beside("calm"), beside("burning")
	s := strategy(t, g, "burning")
	t.Logf("99 of 100 within %v, quiet %v; a pick of the other burns %d", busy, quiet, s.Fuel.Most)
	if s.Faults > 0 || s.Fuel.Most < s.Fuel.Limit*8/10 {
		t.Errorf("%+v", s)
	}
	if soaking() && busy > 2*quiet {
		t.Errorf("99 of 100 within %v; quiet, %v", busy, quiet)
	}
}

// ask lets clients ask the model until then, with a pause between, and returns how long the answers took, in order.
func ask(t *testing.T, g *gatewaytest.Gateway, model string, clients int, pause time.Duration, end time.Time) []time.Duration {
	var (
		mu    sync.Mutex
		times []time.Duration
		all   sync.WaitGroup
	)
	for range clients {
		all.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				if response, text := g.Chat(t, model); response.StatusCode != 200 {
					t.Errorf("%d %s", response.StatusCode, text)
				}
				mu.Lock()
				times = append(times, time.Since(began))
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	all.Wait()
	slices.Sort(times)
	return times
}

// The table of hostile guests in the operators' guide lists exactly the tested ones. (BERRY_UPDATE=1 updates it.)
func TestHostileTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| guest | what it does | status |\n|---|---|---|\n")
	for _, h := range atWork() {
		says := "no fault"
		if h.shows != "" {
			says = "quarantined, last fault `" + h.shows + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", h.name, h.does, says)
	}
	for _, h := range atTheDoor() {
		fmt.Fprintf(&b, "| %s | %s | refused: “%s” |\n", h.name, h.does, h.shows)
	}
	readmetest.Table(t, "../../strategies/README.md", "hostile guests", b.String())
}

func strategy(t *testing.T, g *gatewaytest.Gateway, name string) gateway.StrategyStatus {
	t.Helper()
	for _, s := range g.Status(t).Strategies {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no strategy %s", name)
	return gateway.StrategyStatus{}
}

// A ran is the result of a race.
type ran struct {
	answers  int
	failures []string
	p99      [2]time.Duration // of hostile, of healthy
	peak     int              // resident memory, in bytes
}

// race lets clients ask the models "hostile" and "healthy", half of them each, for so long.
func race(t *testing.T, g *gatewaytest.Gateway, clients int, long time.Duration) ran {
	var (
		r     ran
		mu    sync.Mutex
		times [2][]time.Duration
		stop  atomic.Bool
		all   sync.WaitGroup
	)
	for c := range clients {
		all.Go(func() {
			model := []string{"hostile", "healthy"}[c%2]
			for !stop.Load() {
				began := time.Now()
				response, text := g.Chat(t, model)
				took := time.Since(began)
				mu.Lock()
				times[c%2] = append(times[c%2], took)
				if response.StatusCode != 200 {
					r.failures = append(r.failures, text)
				}
				mu.Unlock()
			}
		})
	}
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r.peak = max(r.peak, resident(t))
	}
	stop.Store(true)
	all.Wait()
	for i, ts := range times {
		slices.Sort(ts)
		r.answers += len(ts)
		r.p99[i] = ts[len(ts)*99/100]
	}
	return r
}

// resident returns the process's resident memory in bytes; 0 if the system does not report it.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Error(err)
	}
	return pages * os.Getpagesize()
}
