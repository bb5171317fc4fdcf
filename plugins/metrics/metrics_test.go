package metrics

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/telemetry"
	"github.com/berrygate/berry/core/upstream"
)

// exchange is one that went well.
func exchange(tb testing.TB) *core.Exchange {
	tb.Helper()
	lease := upstream.NewSet(func(upstream.Change) {}).Lease()
	p, err := lease.Provider("p", upstream.Identity{})
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	b := &core.Backend{Upstream: lease.Upstream(p, "one"), System: "openai"}
	return &core.Exchange{
		Operation: core.Operation{Name: "chat", Path: "/chat/completions"}, Request: httptest.NewRequest("POST", "/v1/chat/completions", nil),
		User: &core.User{ID: "alice"}, Model: &core.Model{Name: "m"}, Outcome: core.Outcome{Status: 200, Duration: time.Second},
		Stages:   []core.StageTime{{Name: "auth"}, {Name: "permission"}, {Name: "select"}, {Name: "relay", Took: time.Second}},
		Attempts: []*core.Attempt{{Backend: b, PickedBy: "failover", Fuel: 1000, Began: now, Ended: now.Add(time.Second), Status: 200, Usage: api.Usage{InputTokens: 1, OutputTokens: 2}}},
	}
}

// What has been counted is there after a reload, which makes a new stage.
func TestCountsOutliveTheStage(t *testing.T) {
	var seen telemetry.Telemetry
	if err := seen.Start(t.Context(), telemetry.Options{Service: "berry", Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	defer seen.Close(context.Background())
	i, err := NewInstruments(seen.Meter())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p := New(i, slog.New(slog.DiscardHandler))
		for range 2 {
			p.Observe(context.Background(), exchange(t))
		}
	}
	w := httptest.NewRecorder()
	seen.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`berry_model_requests_total{berry_model="m",outcome="ok",status="200"} 4`, `berry_user_requests_total{berry_user="alice",outcome="ok",status="200"} 4`,
		`berry_backend_attempts_total{berry_provider="p",berry_provider_model="one",result="ok"} 4`,
		`berry_model_duration_seconds_count{berry_model="m",outcome="ok"} 4`, `berry_stage_duration_seconds_count{berry_stage="relay",outcome="ok"} 4`,
		`gen_ai_client_token_usage_count{berry_provider="p",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="one",gen_ai_token_type="output"} 4`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

// BenchmarkObserve is what it costs to record an exchange, without and with a trace for exemplars to link to.
func BenchmarkObserve(b *testing.B) {
	sampled := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	for name, ctx := range map[string]context.Context{"alone": context.Background(), "sampled": sampled} {
		b.Run(name, func(b *testing.B) {
			var seen telemetry.Telemetry
			if err := seen.Start(b.Context(), telemetry.Options{Service: "berry", Log: slog.New(slog.DiscardHandler)}); err != nil {
				b.Fatal(err)
			}
			defer seen.Close(context.Background())
			i, err := NewInstruments(seen.Meter())
			if err != nil {
				b.Fatal(err)
			}
			p := New(i, slog.New(slog.DiscardHandler))
			x := exchange(b)
			b.ReportAllocs()
			for b.Loop() {
				p.Observe(ctx, x)
			}
		})
	}
}
