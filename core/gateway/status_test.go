package gateway_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// Requests of two models to a shared upstream count for each model and for the upstream, and a reload keeps the counters.
func TestCountsOfSharedUpstream(t *testing.T) {
	var fails atomic.Bool
	p := &fakeprovider.Provider{Name: "p"}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		p.ServeHTTP(w, r)
	}))
	toml := gatewaytest.Config("[settings]\nmax_retries = 0\n", gatewaytest.Provider("p", url),
		gatewaytest.Model("busy", "failover", "p"), gatewaytest.Model("calm", "failover", "p"), gatewaytest.Model("idle", "failover", "p"))
	g := gatewaytest.Start(t, toml)
	for range 3 {
		g.Chat(t, "busy")
	}
	g.Chat(t, "calm")
	fails.Store(true)
	g.Chat(t, "calm")
	check := func(s gateway.Status) {
		t.Helper()
		for model, want := range map[string][2]uint64{"busy": {3, 0}, "calm": {1, 1}, "idle": {0, 0}} {
			m := s.Models[slices.IndexFunc(s.Models, func(m gateway.ModelStatus) bool { return m.Name == model })]
			if a := m.Backends[0].Attempts; [2]uint64{a.Answered, a.Failed} != want || (a.InputTokens > 0) != (want[0] > 0) {
				t.Errorf("%s has %+v, want %d answered and %d failed", model, a, want[0], want[1])
			}
		}
		if len(s.Upstreams) != 1 {
			t.Fatalf("%d upstreams, want 1", len(s.Upstreams))
		}
		if u := s.Upstreams[0]; u.Attempts.Answered != 4 || u.Attempts.Failed != 1 || !slices.Equal(u.Models, []string{"busy", "calm", "idle"}) || u.Samples != 5 {
			t.Errorf("the upstream is %+v, want 4 answered and 1 failed of three models", u)
		}
	}
	gatewaytest.Wait(t, "all attempts have ended", func() bool { a := g.Status(t).Upstreams[0].Attempts; return a.Answered+a.Failed == 5 })
	check(g.Status(t))
	check(g.Rewrite(t, toml+"\n# changed\n"))
}

// Every state is one word with its reason in a separate field.
func TestStatesAreOneWord(t *testing.T) {
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusServiceUnavailable) // the health check
			return
		}
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	spans := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", spans.URL+"/v1/traces")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\nhealth_check_interval_seconds = 1\n",
		checked(gatewaytest.Provider("p", url)), gatewaytest.Provider("q", url),
		gatewaytest.Model("down", "failover", "p"), gatewaytest.Model("cooling", "failover", "q")))
	g.Chat(t, "cooling")
	gatewaytest.Wait(t, "the check has failed", func() bool { return g.Status(t).Providers[0].State == "down" })
	page := g.Page(t, "/admin/status")
	var s any
	if err := json.Unmarshal([]byte(page), &s); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case map[string]any:
			if state, ok := v["state"].(string); ok {
				got[state]++
				if reason, _ := v["reason"].(string); strings.Contains(state, " ") || (reason == "") != (state == "healthy") {
					t.Errorf("state %q, reason %q", state, reason)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(s)
	// Of the providers, their upstreams, the models' backends and the strategy.
	if want := map[string]int{"healthy": 2, "cooling": 2, "down": 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("states %v, want %v, in\n%s", got, want, page)
	}
	if want := `"state":"down","reason":"the health check failed: status 503"`; !strings.Contains(g.Log.String(), want) {
		t.Errorf("no %s in the log", want)
	}
	gatewaytest.Wait(t, "the check's span says so", func() bool {
		return strings.Contains(otlptest.Tree(spans.Spans()), "berry.health.reason: the health check failed: status 503\n  | berry.health.state: down\n")
	})
}
