package server_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/decisionlog"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// decisions returns the decisions of GET /admin/decisions.
func decisions(t *testing.T, g *gatewaytest.Gateway, query string) []decisionlog.Entry {
	t.Helper()
	var out []decisionlog.Entry
	for lines := json.NewDecoder(strings.NewReader(g.Page(t, "/admin/decisions"+query))); lines.More(); {
		var e decisionlog.Entry
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// seen returns a gateway with two models, one of them with a shadow strategy, and a provider that fails every third request.
func seen(t *testing.T, add ...string) *gatewaytest.Gateway {
	t.Helper()
	p := fake()
	p.FailEvery = 3
	return gatewaytest.Start(t, gatewaytest.Config(append(add, gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("other", "failover", "p"),
		strings.Replace(gatewaytest.Model("m", "failover", "p"), "strategy", "shadow = \"round_robin\"\nstrategy", 1)+
			"[[models.m.backends]]\nprovider = \"p\"\nmodel = \"two\"\npriority = 1\n")...))
}

// GET /admin/decisions returns the latest decisions with their blocks, filtered by model and time.
func TestDecisions(t *testing.T) {
	g := seen(t, "[telemetry]\ndecisions = 4")
	if n := len(decisions(t, g, "")); n != 0 {
		t.Errorf("got %d decisions before the first request", n)
	}
	g.Chat(t, "m")
	g.Chat(t, "other")
	between := time.Now()
	g.Chat(t, "m") // fails and is retried, so there are two decisions
	all := decisions(t, g, "")
	if len(all) != 4 || all[0].Model != "m" || all[1].Model != "other" || all[2].Attempt != 0 || all[3].Attempt != 1 || all[2].RequestID != all[3].RequestID {
		t.Fatalf("%+v", all)
	}
	last := all[3]
	if last.Strategy != "failover" || len(last.SHA256) != 64 || last.Fuel == 0 || last.Provider != "p" || last.Upstream != "two" || last.Candidates != 1 {
		t.Errorf("%+v", last)
	}
	if s := all[2].Shadow; s == nil || s.Strategy != "round_robin" || s.Result != "differs" || s.Chosen != 1 { // of the model's second request
		t.Errorf("got shadow %+v", s)
	}
	if n := len(decisions(t, g, "?model=other")); n != 1 {
		t.Errorf("got %d decisions of the other model", n)
	}
	if n := len(decisions(t, g, "?since="+between.Add(time.Second).UTC().Format(time.RFC3339))); n > 2 {
		t.Errorf("got %d decisions since the third request", n)
	}
	if n := len(decisions(t, g, "?since=1h")); n != 4 {
		t.Errorf("got %d decisions within an hour", n)
	}
	if page := g.Page(t, "/admin/decisions?since=soon"); !strings.Contains(page, "invalid_since") {
		t.Error(page)
	}
	g.Chat(t, "other")
	if all = decisions(t, g, ""); len(all) != 4 || all[0].Model != "other" || all[3].Model != "other" {
		t.Errorf("the fifth decision did not overwrite the first: %+v", all)
	}
}

// Metrics count the shadow strategy's decisions, which do not affect routing.
func TestShadow(t *testing.T) {
	g := seen(t)
	for range 4 {
		g.Chat(t, "m")
	}
	page := g.Page(t, "/metrics")
	for _, want := range []string{
		`berry_shadow_picks_total{berry_shadow_strategy="round_robin",result="agrees"} `,
		`berry_shadow_picks_total{berry_shadow_strategy="round_robin",result="differs"} `,
		`berry_backend_attempts_total{berry_provider="p",berry_provider_model="one",result="ok"} 3`, // and one failed attempt: failover picks
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
}

// The status shows each user's counters, which survive a reload, and each strategy's fuel.
func TestStatusCounts(t *testing.T) {
	g := seen(t)
	g.Chat(t, "m")
	g.Chat(t, "none")
	reloaded := gatewaytest.Config() + "[users.bob]\ntoken = \"berry-bob-0123456789\"\n"
	s := g.Status(t)
	u := s.Users[0]
	if u.ID != "alice" || u.Requests != 2 || u.Refused != 1 || u.Failed != 0 || u.OutputTokens == 0 {
		t.Errorf("%+v", u)
	}
	for _, strategy := range s.Strategies {
		f := strategy.Fuel
		if strategy.Name == "failover" && (f.Picks != 1 || f.P50 == 0 || f.P50 > f.P99 || f.P99 > f.Most || f.Most > f.Limit) {
			t.Errorf("%+v", f)
		}
	}
	if u := g.Rewrite(t, reloaded).Users[0]; u.Requests != 2 {
		t.Errorf("after a reload: got %+v", u)
	}
}

// The access log line has all documented fields. A reload changes the level and the sample ratio.
func TestAccessLine(t *testing.T) {
	g := seen(t)
	g.Chat(t, "m")
	for _, want := range []string{
		`"msg":"exchange","status":200,"outcome":"ok","ms":`, `"user":"alice","model":"m","provider":"p","provider_model":"one","strategy":"failover","attempts":1,"backend_ms":`,
		`"input_tokens":1,"output_tokens":8,"route":"/v1/chat/completions","request_id":"`,
	} {
		if !strings.Contains(g.Log.String(), want) {
			t.Errorf("no %s in the log", want)
		}
	}
	silent := strings.Replace(readFile(t, g.File), "[server]", "[telemetry]\nlog_sample_ratio = 0.0\n[server]", 1)
	g.Rewrite(t, silent)
	g.Log.Reset()
	g.Chat(t, "m")
	g.Chat(t, "none")
	if log := g.Log.String(); strings.Contains(log, `"outcome":"ok"`) || !strings.Contains(log, `"error":"model_not_found"`) {
		t.Errorf("with log_sample_ratio = 0, got log\n%s", log)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The trace of a panic contains the panic's value and the stage.
func TestPanicTrace(t *testing.T) {
	r := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
	g := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.StageDeps) (*core.Pipeline, error) {
		return core.NewPipeline(core.Stage{Name: "odd", Plugin: stage(func(context.Context, *core.Exchange) error { panic("disk on fire") })}), nil
	})
	g.Chat(t, "m")
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	tree := otlptest.Tree(slices.DeleteFunc(r.Spans(), func(s *trace.Span) bool { return s.Name == "reload" || s.Name == "load_strategy" }))
	for _, want := range []string{"berry.stage: odd\n", "  * exception\n    | exception.message: disk on fire\n    | exception.type: string\n", "    odd (internal) error: "} {
		if !strings.Contains(tree, want) {
			t.Errorf("no %q in\n%s", want, tree)
		}
	}
}
