package metrics_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// The size of a large config: each of these numbers makes more sets of labels than OpenTelemetry takes by default, 2,000.
const (
	manyUsers    = 2300
	manyBackends = 450 // each in one of five states
)

func token(user int) string { return fmt.Sprintf("berry-user-%04d-0123456789", user) }

// large returns a config of that size, whose providers answer behind the URL: the model "good" answers, "bad" fails.
func large(url string) string {
	var b strings.Builder
	b.WriteString(gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Provider("q", url+"/fails"), "[settings]\nmax_retries = 0\nfailure_threshold = 1000000\n"))
	for _, m := range [...]struct{ model, provider string }{{"good", "p"}, {"bad", "q"}} {
		fmt.Fprintf(&b, "[models.%s]\nstrategy = \"round_robin\"\n", m.model)
		for i := range manyBackends / 2 {
			fmt.Fprintf(&b, "[[models.%s.backends]]\nprovider = %q\nmodel = \"m%03d\"\n", m.model, m.provider, i)
		}
	}
	for u := range manyUsers {
		fmt.Fprintf(&b, "[users.u%04d]\ntoken = %q\n", u, token(u))
	}
	return b.String()
}

// startLarge runs a gateway with a large config, through which each user has had an answer, a refusal and a failure.
func startLarge(tb testing.TB) *gatewaytest.Gateway {
	tb.Helper()
	g := gatewaytest.Start(tb, large(gatewaytest.Serve(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/fails") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}))))
	var clients sync.WaitGroup
	const each = 4
	for c := range each {
		clients.Go(func() {
			for u := c; u < manyUsers; u += each {
				ask(tb, g, u, "good", http.StatusOK)
				ask(tb, g, u, "none", http.StatusNotFound)
				ask(tb, g, u, "bad", http.StatusBadGateway)
			}
		})
	}
	clients.Wait()
	awaitExchanges(tb, g, 3*manyUsers)
	return g
}

// awaitExchanges waits until so many exchanges are counted: their lines in the log come after that.
func awaitExchanges(tb testing.TB, g *gatewaytest.Gateway, n int) {
	tb.Helper()
	gatewaytest.Wait(tb, "all is counted", func() bool { return strings.Count(g.Log.String(), `"msg":"exchange"`) == n })
}

func ask(tb testing.TB, g *gatewaytest.Gateway, user int, model string, want int) {
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","messages":[]}`))
	if err != nil {
		tb.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token(user))
	response, err := g.Client.Do(r)
	if err != nil {
		tb.Error(err)
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != want {
		tb.Errorf("user %d, model %s: status %d, %v; want %d", user, model, response.StatusCode, err, want)
	}
}

// series returns Berry's series of a scrape in their order, and their values.
func series(page string) (names []string, values map[string]string) {
	values = map[string]string{}
	for line := range strings.Lines(page) {
		at := strings.LastIndexByte(line, ' ')
		if !strings.HasPrefix(line, "berry_") && !strings.HasPrefix(line, "gen_ai_") || strings.HasPrefix(line, "berry_config_age_") {
			continue
		}
		names = append(names, line[:at])
		values[line[:at]] = line[at:]
	}
	return names, values
}

// count returns how many of the names begin so.
func count(names []string, prefix string) int {
	n := 0
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// However much a config names, each series is there in each scrape, in the same order, and changes only with traffic of its own.
func TestNoSeriesVanishes(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends 6,900 requests")
	}
	g := startLarge(t)
	page := g.Page(t, "/metrics")
	if strings.Contains(page, "otel_metric_overflow") {
		t.Error("some series are one")
	}
	names, values := series(page)
	for prefix, want := range map[string]int{
		"berry_user_requests_total{": 3 * manyUsers, "berry_user_duration_seconds_count{": 3 * manyUsers,
		"berry_backend_state{": 5 * manyBackends, "berry_backend_in_flight{": manyBackends, "berry_backend_attempts_total{": manyBackends,
	} {
		if got := count(names, prefix); got != want {
			t.Errorf("%d series %s…}, want %d", got, prefix, want)
		}
	}
	again, same := series(g.Page(t, "/metrics"))
	if !slices.Equal(names, again) || !maps.Equal(values, same) {
		t.Error("a second scrape shows others, or in another order, though there was no traffic")
	}
	ask(t, g, 0, "none", http.StatusNotFound)
	awaitExchanges(t, g, 3*manyUsers+1)
	later, changed := series(g.Page(t, "/metrics"))
	if !slices.Equal(names, later) {
		t.Error("after one request more there are other series, or in another order")
	}
	for _, name := range names {
		mine := strings.Contains(name, `berry_user="u0000"`) || strings.Contains(name, `berry_model="(unknown)"`) || strings.HasPrefix(name, "berry_stage_duration_")
		if changed[name] != values[name] && !mine {
			t.Errorf("%s was%s and is%s, after a request of another's", name, values[name], changed[name])
		}
	}
}

// What is counted of a user stays when a reload removes the user, and goes on if another brings it back; gauges end with their backend.
func TestSeriesOfRemovedUsers(t *testing.T) {
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","choices":[]}`)
	}))
	without := gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p"))
	with := without + "[users.u0000]\ntoken = \"" + token(0) + "\"\n" + gatewaytest.Provider("q", url) + gatewaytest.Model("n", "failover", "q")
	g := gatewaytest.Start(t, with)
	ask(t, g, 0, "n", http.StatusOK)
	awaitExchanges(t, g, 1)
	const requests, gauge = `berry_user_requests_total{berry_user="u0000",outcome="ok",status="200"}`, `berry_backend_in_flight{berry_provider="q",berry_provider_model="one"}`
	shows := func(requestsWant, gaugeWant string) {
		t.Helper()
		_, values := series(g.Page(t, "/metrics"))
		if values[requests] != requestsWant || values[gauge] != gaugeWant {
			t.Errorf("%q requests and %q in flight, want %q and %q", values[requests], values[gauge], requestsWant, gaugeWant)
		}
	}
	shows(" 1\n", " 0\n")
	g.Rewrite(t, without)
	shows(" 1\n", "")
	g.Rewrite(t, with)
	ask(t, g, 0, "n", http.StatusOK)
	awaitExchanges(t, g, 2)
	shows(" 2\n", " 0\n")
}

// BenchmarkScrape is what a scrape of a large config costs.
func BenchmarkScrape(b *testing.B) {
	g := startLarge(b)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		size = len(g.Page(b, "/metrics"))
	}
	b.ReportMetric(float64(size), "bytes/scrape")
}
