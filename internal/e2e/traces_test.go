package e2e

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/guesttest"
	"github.com/berrygate/berry/internal/otlptest"
)

var update = flag.Bool("update", false, "write the golden files of traces anew")

// A traced is the built binary that exports its spans to the test.
type traced struct {
	*testing.T
	spans      *otlptest.Receiver
	url, admin string
	file       string // the config
	toml       string
	parents    sync.Map // of requests at providers: the traceparent, by the trace id
	arrived    chan struct{}
}

// startTraced starts the binary in front of providers that fail, answer or say nothing.
func startTraced(t *testing.T, environ ...string) *traced {
	g := &traced{T: t, spans: otlptest.New(t), arrived: make(chan struct{}, 10)}
	provider := func(id string, h http.Handler) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p := strings.Split(r.Header.Get("Traceparent"), "-"); len(p) == 4 {
				g.parents.Store(p[1]+" "+id, p[2])
			}
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return strings.Replace(gatewaytest.Provider(id, s.URL), "health_check = false", fmt.Sprintf("health_check = %t", id == "good" || id == "ill"), 1)
	}
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		g.arrived <- struct{}{}
		<-r.Context().Done()
	})
	g.toml = gatewaytest.Config(
		"[settings]\nhealth_check_failures = 1",
		provider("ill", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })),
		provider("bad", &fakeprovider.Provider{Name: "bad", FailEvery: 1}), provider("good", &fakeprovider.Provider{Name: "good", Models: []string{"one"}}), provider("silent", silent),
		gatewaytest.Model("quiet", "failover", "silent"), gatewaytest.Model("faulty", "odd", "good"),
		"[models.steady]\nstrategy = \"failover\"\nshadow = \"round_robin\"",
		"[[models.steady.backends]]\nprovider = \"bad\"\nmodel = \"one\"\npriority = 1\n[[models.steady.backends]]\nprovider = \"good\"\nmodel = \"one\"\npriority = 2\ncost_input = 2.5\ntags = [\"eu\"]",
		"[strategies.odd]\npath = \"odd.wasm\"\nfallback = \"round_robin\"\nfuel = 5000000",
	)
	folder := t.TempDir()
	g.file = filepath.Join(folder, "config.toml")
	for name, b := range map[string][]byte{"config.toml": []byte(g.toml), "odd.wasm": guesttest.Go(t, root+"core/gateway/testdata/odd")} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ = append(environ, "OTEL_EXPORTER_OTLP_ENDPOINT="+g.spans.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=500")
	p := start(t, environ, "serve", "--config", g.file)
	at := p.wait(t, `"address":"([^"]+)","admin":"([^"]+)"`)
	g.url, g.admin = "http://"+at[1], "http://"+at[2]
	return g
}

// ask sends a request within the trace.
func (g *traced) ask(ctx context.Context, id, token, body string) *http.Response {
	g.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Traceparent", "00-"+id+"-"+client+"-01")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		g.Fatal(err)
	}
	return response
}

// client is the id of the client's own span.
const client = "00000000000000c1"

// whole returns the trace's spans when the first of them, which is exported last, is there.
func (g *traced) whole(id string) []*trace.Span {
	g.Helper()
	var spans []*trace.Span
	gatewaytest.Wait(g, "the trace is exported", func() bool {
		spans = g.spans.Trace(id)
		for _, s := range spans {
			if hex.EncodeToString(s.ParentSpanId) == client {
				return true
			}
		}
		return false
	})
	return spans
}

// rooted waits for a trace of the gateway's own, whose first span has the name and the attribute's value.
func (g *traced) rooted(name, key, value string) []*trace.Span {
	g.Helper()
	var found []*trace.Span
	gatewaytest.Wait(g, name+" is exported", func() bool {
		for _, s := range g.spans.Spans() {
			for _, a := range s.Attributes {
				if s.Name == name && len(s.ParentSpanId) == 0 && a.Key == key && otlptest.Text(a.Value) == value {
					found = g.spans.Trace(hex.EncodeToString(s.TraceId))
					return true
				}
			}
		}
		return false
	})
	return found
}

// compare compares the spans' tree with the golden file, apart from what differs from run to run.
func (g *traced) compare(name string, spans []*trace.Span) {
	g.Helper()
	got := otlptest.Tree(spans)
	for expression, to := range map[string]string{
		`(server.port|berry.strategy.fuel|gen_ai.response.time_to_first_chunk): \S+`: "$1: …",
		`/\S+/config\.toml:`: "config.toml:",
		`(berry.request_id|berry.strategy.sha256|berry.config.sha256): \S+`: "$1: …",
		`"(latency_ms|ttft_ms|streamed_ms|plain_ms|samples)":[^,}]*`:        `"$1":…`,
	} {
		got = regexp.MustCompile(expression).ReplaceAllString(got, to)
	}
	file := filepath.Join("testdata", "traces", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			g.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		g.Fatal(err)
	}
	if got != string(want) {
		g.Errorf("%s: the trace is\n%s\nwant\n%s", name, got, want)
	}
}

// What an operator sees in Jaeger of everything that can happen to a request, and of what happens without one. The golden files
// in testdata/traces show it; go test -run TestTraces -update . writes them anew.
func TestTraces(t *testing.T) {
	g := startTraced(t, freePorts()...)
	ids := map[string]string{}
	for i, name := range []string{"failover", "refused_token", "streamed", "client_left", "strategy_fault", "unknown_model"} {
		ids[name] = fmt.Sprintf("%032x", 0xa0+i)
	}
	read := func(r *http.Response) string {
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	ctx := t.Context()
	message := `"messages":[{"role":"user","content":"Hi!"}]}`
	if text := read(g.ask(ctx, ids["failover"], gatewaytest.Token, `{"model":"steady","max_tokens":9,`+message)); !strings.Contains(text, "Hello from good") {
		t.Error(text)
	}
	read(g.ask(ctx, ids["refused_token"], "berry-stolen-0123456789", `{"model":"steady",`+message))
	if text := read(g.ask(ctx, ids["streamed"], gatewaytest.Token, `{"model":"steady","stream":true,`+message)); !strings.Contains(text, "[DONE]") {
		t.Error(text)
	}
	for i := range runtime.GOMAXPROCS(0) { // each instance faults the second time
		read(g.ask(ctx, fmt.Sprintf("%032x", 0xf0+i), gatewaytest.Token, `{"model":"faulty",`+message))
	}
	read(g.ask(ctx, ids["strategy_fault"], gatewaytest.Token, `{"model":"faulty",`+message))
	read(g.ask(ctx, ids["unknown_model"], gatewaytest.Token, `{"model":"sk-nobody-knows",`+message))
	leaving, leave := context.WithCancel(ctx)
	go func() {
		<-g.arrived
		leave()
	}()
	g.ask(leaving, ids["client_left"], gatewaytest.Token, `{"model":"quiet",`+message)
	for name, id := range ids {
		if name == "refused_token" { // a trace of its own, with a link to the stranger's
			g.compare(name, g.rooted("POST /v1/chat/completions", "berry.stage", "auth"))
			continue
		}
		g.compare(name, g.whole(id))
	}
	// The provider has the attempt's span for its parent.
	for _, s := range g.spans.Trace(ids["failover"]) {
		for _, id := range []string{"bad", "good"} {
			if parent, _ := g.parents.Load(ids["failover"] + " " + id); s.Kind == trace.Span_SPAN_KIND_CLIENT && strings.Contains(otlptest.Tree([]*trace.Span{s}), "berry.provider: "+id) && parent != hex.EncodeToString(s.SpanId) {
				t.Errorf("%s was told of the parent %v", id, parent)
			}
		}
	}

	if err := os.WriteFile(g.file, []byte(g.toml+"\n[users.bob]\ntoken = \"berry-bob-0123456789\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.compare("reload", g.rooted("reload", "berry.reload.cause", "file"))
	if err := os.WriteFile(g.file, []byte(g.toml+"\n[users.bob]\ntokn = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.compare("failed_reload", g.rooted("reload", "berry.reload.result", "failed"))
	g.compare("health_check", g.rooted("health_check", "berry.provider", "good"))
	g.compare("failed_check", g.rooted("health_check", "berry.provider", "ill"))
	for i := range runtime.GOMAXPROCS(0) {
		g.whole(fmt.Sprintf("%032x", 0xf0+i))
	}
	checkFamilies(t, g.spans.Spans())
	checkExemplars(t, g.admin, ids["failover"][:31])
	gatewaytest.Wait(t, "the metrics are exported", func() bool {
		return g.spans.Metrics()["berry.config.reloads"] != nil && g.spans.Metrics()["berry.strategy.faults"] != nil
	})
	checkNames(t, g.spans)
}

// checkExemplars wants the page of metrics to link to the traces, for whoever asks for OpenMetrics.
func checkExemplars(t *testing.T, admin, id string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^gen_ai_client_operation_duration_seconds_bucket.* # \{.*trace_id="` + id).Match(b) {
		t.Errorf("no exemplar of the trace %s in\n%.2000s", id, b)
	}
}

// checkFamilies wants each span once, and its parent there, the client's own apart; and nothing without one but what begins of
// itself.
func checkFamilies(t *testing.T, spans []*trace.Span) {
	t.Helper()
	seen := map[string]bool{client: true}
	for _, s := range spans {
		id := hex.EncodeToString(s.SpanId)
		if seen[id] {
			t.Errorf("%s came twice", s.Name)
		}
		seen[id] = true
	}
	for _, s := range spans {
		parent := hex.EncodeToString(s.ParentSpanId)
		switch {
		case parent == "" && s.Name != "reload" && s.Name != "health_check" && len(s.Links) == 0:
			t.Errorf("%s has no parent", s.Name)
		case parent != "" && !seen[parent]:
			t.Errorf("%s is an orphan", s.Name)
		}
	}
}
