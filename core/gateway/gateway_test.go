package gateway_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a gateway with the TOML and the strategy that it compiles from testdata/NAME.
func start(t *testing.T, strategy string, toml ...string) *gatewaytest.Gateway {
	t.Helper()
	own := fmt.Sprintf("[strategies.%s]\npath = \"guest.wasm\"\nfallback = \"round_robin\"\nfuel = 5000000\n", strategy)
	return gatewaytest.StartFiles(t, gatewaytest.Config(append(toml, own)...), map[string][]byte{"guest.wasm": guesttest.Go(t, "./testdata/"+strategy)})
}

// A faulting strategy fails no requests: its fallback picks, and log and metrics report the fault.
func TestFaultsCostNoRequest(t *testing.T) {
	p := &fakeprovider.Provider{Name: "p"}
	g := start(t, "odd", gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("faulty", "odd", "p"))
	n := int64(0)
	gatewaytest.Wait(t, "quarantine", func() bool { // while its instances are replaced, the strategy is not asked
		n++
		if response, text := g.Chat(t, "faulty"); response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
		return strategy(t, g, "odd").State != "healthy"
	})
	if p.Served() != n {
		t.Errorf("%d of %d served", p.Served(), n)
	}
	metrics := g.Page(t, "/metrics")
	for _, want := range []string{`berry_strategy_faults_total{berry_strategy="odd",reason="trap"} 5`, `berry_strategy_quarantined{berry_strategy="odd"} 1`, `berry_strategy_last_fault_seconds{berry_strategy="odd"} 1.`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	log := g.Log.String()
	if !strings.Contains(log, `"msg":"strategy faulted","strategy":"odd"`) || !strings.Contains(log, `panic: as asked`) {
		t.Error("the log does not say what happened")
	}
}

// A guest has access only to its query: no arguments, environment variables, files or sockets; the clock is the query's.
func TestGuestsFindNothing(t *testing.T) {
	p := &fakeprovider.Provider{Name: "p"}
	g := start(t, "odd", gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("nosy", "odd", "p"))
	if response, text := g.Chat(t, "nosy"); response.StatusCode != 200 {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	want := "found: args 0, env 0, file false, folder false, socket false, clock false, slept true"
	if !strings.Contains(g.Log.String(), want) {
		t.Errorf("the log has no %q", want)
	}
}

// A stateful strategy receives the outcome of every attempt, also of failed ones.
func TestStatefulStrategyLearns(t *testing.T) {
	p := &fakeprovider.Provider{Name: "p", FailEvery: 2}
	g := start(t, "learner", gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "learner", "p"))
	for range 2 { // the second one is repeated
		if response, text := g.Chat(t, "m"); response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
	}
	for _, want := range []string{
		"learned: seq 0, attempt 0, ok, status 200, 8 tokens out",
		"learned: seq 1, attempt 0, server_error, status 500, 0 tokens out",
		"learned: seq 1, attempt 1, ok, status 200, 8 tokens out",
	} {
		if strings.Count(g.Log.String(), want) != 1 {
			t.Errorf("the log has not once %q", want)
		}
	}
}

// After a cooldown an upstream receives one probe at a time; other requests are rejected until the probe succeeds.
func TestOneProbeThroughSockets(t *testing.T) {
	var recovered atomic.Bool
	down, up := &fakeprovider.Provider{Name: "p", FailEvery: 1}, &fakeprovider.Provider{Name: "p", Latency: 1500 * time.Millisecond}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if recovered.Load() {
			up.ServeHTTP(w, r)
			return
		}
		down.ServeHTTP(w, r)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nfailure_threshold = 1\ncooldown_seconds = 3\nmax_retries = 0",
		gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	if response, _ := g.Chat(t, "m"); response.StatusCode != 500 {
		t.Fatal(response.StatusCode)
	}
	response, text := g.Chat(t, "m")
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", response.StatusCode, text, response.Header)
	}
	if status := g.Page(t, "/admin/status"); !strings.Contains(status, `"state": "cooling"`) {
		t.Error(status)
	}
	gatewaytest.Wait(t, "the cooldown is over", func() bool { return strings.Contains(g.Page(t, "/admin/status"), "probing") })
	recovered.Store(true)
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 8 {
		all.Go(func() {
			response, _ := g.Chat(t, "m")
			mu.Lock()
			defer mu.Unlock()
			statuses[response.StatusCode]++
		})
	}
	all.Wait()
	if statuses[200] != 1 || statuses[503] != 7 {
		t.Errorf("%v", statuses)
	}
	if response, _ := g.Chat(t, "m"); response.StatusCode != 200 {
		t.Errorf("after the probe: %d", response.StatusCode)
	}
	states := regexp.MustCompile(`"msg":"backend health".*"state":"(cooling|probing|healthy)`).FindAllStringSubmatch(g.Log.String(), -1)
	if len(states) != 3 || states[0][1] != "cooling" || states[1][1] != "probing" || states[2][1] != "healthy" {
		t.Error("the log does not tell of the cooldown, the probing and the recovery, once each")
	}
}
