package telemetry

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/berrygate/berry/internal/otlptest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// begin starts a telemetry that exports its spans to url.
func begin(t *testing.T, url string, s Sampling) *Telemetry {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url+"/v1/traces")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	out := &Telemetry{}
	if err := out.Start(t.Context(), Options{Service: "berry", Version: "test", Sampling: s, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Without a variable that asks for it nothing is made; with one that makes no sense the start fails.
func TestOff(t *testing.T) {
	for _, test := range []struct {
		environ []string
		on      bool
		err     string
	}{
		{nil, false, ""},
		{[]string{"OTEL_TRACES_EXPORTER=none"}, false, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_SDK_DISABLED=true"}, false, ""},
		{[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:1"}, false, ""},
		{[]string{"OTEL_TRACES_EXPORTER=carrier-pigeon"}, false, "telemetry: "},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1"}, true, ""},
		{[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, true, ""},
	} {
		t.Run(fmt.Sprint(test.environ), func(t *testing.T) {
			for _, e := range test.environ {
				name, value, _ := strings.Cut(e, "=")
				t.Setenv(name, value)
			}
			out := &Telemetry{}
			err := out.Start(t.Context(), Options{Service: "berry", Log: slog.New(slog.DiscardHandler)})
			if (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
				t.Fatal(err)
			}
			if on := out.Tracer() != nil; on != test.on {
				t.Errorf("on: %t", on)
			}
			out.Close(context.Background())
		})
	}
}

// remote is the context of a request whose client has decided.
func remote(sampled bool) context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled.WithSampled(sampled),
	}))
}

// Which traces are exported follows from the ratio, the client's decision, and what comes of the exchange.
func TestSampling(t *testing.T) {
	for name, test := range map[string]struct {
		sampling Sampling
		ctx      context.Context
		fails    trace.SpanKind // of the span that does; 0 is none
		lasts    time.Duration
		want     bool
	}{
		"all":                       {Sampling{Ratio: 1}, context.Background(), 0, 0, true},
		"none":                      {Sampling{Ratio: 0}, context.Background(), 0, 0, false},
		"the client wants it":       {Sampling{Ratio: 0}, remote(true), 0, 0, true},
		"the client does not":       {Sampling{Ratio: 1}, remote(false), 0, 0, false},
		"a failed exchange":         {Sampling{KeepErrors: true}, context.Background(), trace.SpanKindServer, 0, true},
		"a failed attempt":          {Sampling{KeepErrors: true}, remote(false), trace.SpanKindClient, 0, true},
		"a stage's refusal":         {Sampling{KeepErrors: true}, context.Background(), trace.SpanKindInternal, 0, false},
		"one that failed and is ok": {Sampling{KeepSlow: time.Hour}, context.Background(), trace.SpanKindServer, 0, false},
		"a slow one":                {Sampling{KeepSlow: time.Second}, context.Background(), 0, 2 * time.Second, true},
		"a quick one":               {Sampling{KeepErrors: true, KeepSlow: time.Second}, context.Background(), 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			out := begin(t, r.URL, test.sampling)
			began := time.Now()
			var spans []trace.Span
			ctx := test.ctx
			for _, kind := range []trace.SpanKind{trace.SpanKindServer, trace.SpanKindInternal, trace.SpanKindClient} {
				var s trace.Span
				ctx, s = out.Tracer().Start(ctx, kind.String(), trace.WithSpanKind(kind), trace.WithTimestamp(began))
				if kind == test.fails {
					s.SetStatus(codes.Error, "")
				}
				spans = append(spans, s)
			}
			for _, s := range slices.Backward(spans) {
				s.End(trace.WithTimestamp(began.Add(test.lasts)))
			}
			out.Close(context.Background())
			got := r.Spans()
			if len(got) != 0 && !test.want || len(got) != len(spans) && test.want {
				t.Errorf("%d of %d spans came", len(got), len(spans))
			}
			if test.want && hex.EncodeToString(got[0].TraceId) != spans[0].SpanContext().TraceID().String() {
				t.Error("another trace came")
			}
		})
	}
}

// The rule can change while it is used.
func TestSamplingChanges(t *testing.T) {
	r := otlptest.New(t)
	out := begin(t, r.URL, Sampling{Ratio: 0})
	for i, ratio := range []float64{0, 1, 0} {
		out.Sample(Sampling{Ratio: ratio})
		_, s := out.Tracer().Start(context.Background(), fmt.Sprint(i))
		s.End()
	}
	out.Close(context.Background())
	if got := r.Spans(); len(got) != 1 || got[0].Name != "1" {
		t.Errorf("%v", got)
	}
}

// A collector that takes nothing, or refuses, costs no more than a queue of spans; what is lost is counted, whole exchanges at a
// time; and the end does not wait for it for ever.
func TestBlackHole(t *testing.T) {
	released := make(chan struct{})
	hole := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-released
	}))
	defer hole.Close()
	defer close(released)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
	out := begin(t, hole.URL, Sampling{Ratio: 1})
	recorded := 0
	for range 1000 {
		ctx, root := out.Tracer().Start(context.Background(), "exchange")
		if root.IsRecording() { // as the server goes on
			recorded++
			for range 4 {
				_, s := out.Tracer().Start(ctx, "stage")
				if !s.IsRecording() {
					t.Fatal("only a part of an exchange is recorded")
				}
				s.End()
			}
		}
		root.End()
		if n := out.queue.pending.Load(); n > 100 {
			t.Fatalf("%d spans wait", n)
		}
	}
	if lost := out.queue.dropped.Load(); lost != int64(1000-recorded) || recorded < 10 || recorded > 25 {
		t.Errorf("%d exchanges recorded, %d lost", recorded, lost)
	}
	over, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	out.Close(over)
}

// A collector that refuses is counted too.
func TestRefusingCollector(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	out := begin(t, refusing.URL, Sampling{Ratio: 1})
	_, s := out.Tracer().Start(context.Background(), "exchange")
	s.End()
	out.Close(context.Background())
	if n := out.queue.failed.Load(); n != 1 {
		t.Errorf("%d failed", n)
	}
}

// What is held until an exchange ends is bounded, too, and gone when it has ended.
func TestTailIsBounded(t *testing.T) {
	r := otlptest.New(t)
	out := begin(t, r.URL, Sampling{KeepErrors: true})
	ctx, root := out.Tracer().Start(context.Background(), "exchange")
	for range 2 * heldByTrace {
		_, s := out.Tracer().Start(ctx, "stage")
		s.End()
	}
	root.SetStatus(codes.Error, "")
	root.End()
	out.Close(context.Background())
	if n := int64(len(r.Spans())); n != heldByTrace || out.queue.dropped.Load() != heldByTrace+1 {
		t.Errorf("%d spans came, %d were dropped", n, out.queue.dropped.Load())
	}
}

// A line of the log that belongs to a trace says so.
func TestLogHasTraceID(t *testing.T) {
	var b strings.Builder
	log := NewLogger(&b, slog.LevelInfo).With("a", 1)
	log.InfoContext(remote(true), "x")
	log.Info("y")
	if text := b.String(); strings.Count(text, `"trace_id":"01000000000000000000000000000000"`) != 1 {
		t.Error(text)
	}
}

// BenchmarkSpan is what a span costs that is sampled, that may yet be kept, and that nobody wants.
func BenchmarkSpan(b *testing.B) {
	for name, s := range map[string]Sampling{"sampled": {Ratio: 1}, "held": {KeepErrors: true}, "not recorded": {}} {
		b.Run(name, func(b *testing.B) {
			hole := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			defer hole.Close()
			b.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", hole.URL)
			b.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1000000")
			out := &Telemetry{}
			if err := out.Start(b.Context(), Options{Sampling: s, Log: slog.New(slog.DiscardHandler)}); err != nil {
				b.Fatal(err)
			}
			tracer := out.Tracer()
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(context.Background(), "x")
				span.End()
			}
			out.Close(context.Background())
		})
	}
}
