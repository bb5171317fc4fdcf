package telemetry

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/berrygate/berry/core/telemetry/spans"
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
		{[]string{"OTEL_TRACES_EXPORTER=console"}, true, ""},
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

// remote is the span of a client that has decided.
func remote(sampled bool) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled.WithSampled(sampled), Remote: true,
	})
}

// root begins a trace of its own.
func root(t *Telemetry, name string) *spans.Trace {
	_, of := spans.Begin(context.Background(), t.Tracer(), name, trace.SpanKindServer, time.Now())
	return of
}

// Which traces are exported follows from the ratio, the client's decision, and what comes of the exchange.
func TestSampling(t *testing.T) {
	for name, test := range map[string]struct {
		sampling Sampling
		parent   trace.SpanContext
		fails    trace.SpanKind // of the span that does; 0 is none
		lasts    time.Duration
		want     bool
	}{
		"all":                       {Sampling{Ratio: 1}, trace.SpanContext{}, 0, 0, true},
		"none":                      {Sampling{Ratio: 0}, trace.SpanContext{}, 0, 0, false},
		"the client wants it":       {Sampling{Ratio: 0}, remote(true), 0, 0, true},
		"the client does not":       {Sampling{Ratio: 1}, remote(false), 0, 0, false},
		"a failed exchange":         {Sampling{KeepErrors: true}, trace.SpanContext{}, trace.SpanKindServer, 0, true},
		"a failed attempt":          {Sampling{KeepErrors: true}, remote(false), trace.SpanKindClient, 0, true},
		"a stage's refusal":         {Sampling{KeepErrors: true}, trace.SpanContext{}, trace.SpanKindInternal, 0, false},
		"one that failed and is ok": {Sampling{KeepSlow: time.Hour}, trace.SpanContext{}, trace.SpanKindServer, 0, false},
		"a failed one, unwanted":    {Sampling{Ratio: 1, KeepErrors: true}, remote(false), trace.SpanKindServer, 0, true},
		"a slow one":                {Sampling{KeepSlow: time.Second}, trace.SpanContext{}, 0, 2 * time.Second, true},
		"a quick one":               {Sampling{KeepErrors: true, KeepSlow: time.Second}, trace.SpanContext{}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			out := begin(t, r.URL, test.sampling)
			ctx, of := out.Tracer().Begin(context.Background(), test.parent, "server", trace.SpanKindServer, time.Now().Add(-test.lasts))
			is := trace.SpanContextFromContext(ctx)
			told := test.sampling.Ratio == 1
			if test.parent.IsValid() {
				told = test.parent.IsSampled()
			}
			if !is.IsValid() || test.parent.IsValid() && is.TraceID() != test.parent.TraceID() || is.IsSampled() != told {
				t.Errorf("whoever is asked next is told %+v", is)
			}
			for _, kind := range []trace.SpanKind{trace.SpanKindInternal, trace.SpanKindClient} {
				s := of.Begin(kind.String(), kind)
				if kind == test.fails {
					s.Fail("")
				}
			} // they end with the trace
			if test.fails == trace.SpanKindServer {
				of.Root().Fail("")
			}
			of.End()
			out.Close(context.Background())
			got := r.Spans()
			if len(got) != 0 && !test.want || len(got) != 3 && test.want {
				t.Errorf("%d of 3 spans came", len(got))
			}
			if test.want && hex.EncodeToString(got[0].TraceId) != is.TraceID().String() {
				t.Error("another trace came")
			}
			if n := out.held.Load(); n != 0 {
				t.Errorf("%d spans are held for ever", n)
			}
		})
	}
}

// OTEL_TRACES_SAMPLER decides as OpenTelemetry specifies, unless the config has a ratio.
func TestSamplerVariables(t *testing.T) {
	for _, test := range []struct {
		name, arg              string
		config                 Sampling
		root, wanted, unwanted bool // whether traces are exported that no client, and one that wants them or does not, decides about
		ratio                  float64
		warning                string
	}{
		{"", "", Sampling{Ratio: 1}, true, true, false, 1, ""},
		{"", "0.5", Sampling{Ratio: 1}, true, true, false, 1, ""},
		{"always_on", "", Sampling{Ratio: 1}, true, true, true, 1, ""},
		{"ALWAYS_OFF", "", Sampling{Ratio: 1}, false, false, false, 0, ""},
		{"traceidratio", "0", Sampling{Ratio: 1}, false, false, false, 0, ""},
		{"traceidratio", "", Sampling{Ratio: 1}, true, true, true, 1, ""},
		{"parentbased_always_on", "0", Sampling{Ratio: 1}, true, true, false, 1, ""},
		{"parentbased_always_off", "", Sampling{Ratio: 1}, false, true, false, 0, ""},
		{"parentbased_traceidratio", "0.0", Sampling{Ratio: 1}, false, true, false, 0, ""},
		{"parentbased_traceidratio", "1.5", Sampling{Ratio: 1}, true, true, false, 1, "OTEL_TRACES_SAMPLER_ARG: \\\"1.5\\\" is not a number from 0 to 1"},
		{"traceidratio", "half", Sampling{Ratio: 1}, true, true, true, 1, "OTEL_TRACES_SAMPLER_ARG"},
		{"jaeger_remote", "endpoint=x", Sampling{Ratio: 1}, true, true, false, 1, "unknown sampler \\\"jaeger_remote\\\""},
		{"parentbased_", "", Sampling{Ratio: 1}, true, true, false, 1, "unknown sampler"},
		{"always_on", "", Sampling{Ratio: 0, Set: true}, false, true, false, 0, "OTEL_TRACES_SAMPLER is ignored"},
		{"always_off", "", Sampling{Ratio: 1, Set: true}, true, true, false, 1, "OTEL_TRACES_SAMPLER is ignored"},
		{"always_off", "", Sampling{Ratio: 1, KeepSlow: 1}, true, true, true, 0, ""}, // all last so long
	} {
		t.Run(test.name+" "+test.arg, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", test.name)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", test.arg)
			r := otlptest.New(t)
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
			var log strings.Builder
			out := &Telemetry{}
			if err := out.Start(t.Context(), Options{Service: "berry", Sampling: test.config, Log: NewLogger(&log, slog.LevelInfo)}); err != nil {
				t.Fatal(err)
			}
			out.Sample(test.config) // as the config that is served asks, at the start and with each reload
			for name, parent := range map[string]trace.SpanContext{"root": {}, "wanted": remote(true), "unwanted": remote(false)} {
				_, of := out.Tracer().Begin(context.Background(), parent, name, trace.SpanKindServer, time.Now().Add(-time.Second))
				of.End()
			}
			if got := out.sampler.now.Load().Ratio; got != test.ratio {
				t.Errorf("the ratio is %v, want %v", got, test.ratio)
			}
			out.Close(context.Background())
			got := map[string]bool{}
			for _, s := range r.Spans() {
				got[s.Name] = true
			}
			if got["root"] != test.root || got["wanted"] != test.wanted || got["unwanted"] != test.unwanted {
				t.Errorf("exported %v, want root %t, wanted %t, unwanted %t", got, test.root, test.wanted, test.unwanted)
			}
			if n := strings.Count(log.String(), `"WARN"`); !strings.Contains(log.String(), test.warning) || n != min(len(test.warning), 1) {
				t.Errorf("%d warnings, want %q once:\n%s", n, test.warning, log.String())
			}
		})
	}
}

// A trace that is detached from its client's is exported if the gateway's own ratio says so, with an id of its own and a link to the client's.
func TestDetachedTraces(t *testing.T) {
	for _, ratio := range []float64{0, 1} {
		r := otlptest.New(t)
		out := begin(t, r.URL, Sampling{Ratio: ratio})
		_, of := out.Tracer().Begin(context.Background(), remote(true), "server", trace.SpanKindServer, time.Now())
		of.Begin("auth", trace.SpanKindInternal)
		of.Detach()
		of.End()
		out.Close(context.Background())
		got := r.Spans()
		if len(got) != 2*int(ratio) {
			t.Errorf("with ratio %v %d spans came, want %d", ratio, len(got), 2*int(ratio))
			continue
		}
		for i, s := range got {
			theirs := remote(true).TraceID()
			if bytes.Equal(s.TraceId, theirs[:]) || (i == 0) != (len(s.Links) == 1) || (i == 0) != (len(s.ParentSpanId) == 0) || i == 0 && !bytes.Equal(s.Links[0].TraceId, theirs[:]) {
				t.Errorf("span %d is %v", i, s)
			}
		}
	}
}

// Of many traces the ratio's share is sampled, also where that is small.
func TestSamplingRatio(t *testing.T) {
	const many, ratio = 1 << 16, 1. / 256
	var s sampler
	s.set(Sampling{Ratio: ratio})
	n := 0
	for range many {
		if sampled, _ := s.sample(trace.SpanContext{}, spans.NewTraceID()); sampled {
			n++
		}
	}
	if n < many*ratio/2 || n > many*ratio*2 {
		t.Errorf("%d of %d", n, many)
	}
}

// The rule can change while it is used.
func TestSamplingChanges(t *testing.T) {
	r := otlptest.New(t)
	out := begin(t, r.URL, Sampling{Ratio: 0})
	for i, ratio := range []float64{0, 1, 0} {
		out.Sample(Sampling{Ratio: ratio})
		root(out, fmt.Sprint(i)).End()
	}
	out.Close(context.Background())
	if got := r.Spans(); len(got) != 1 || got[0].Name != "1" {
		t.Errorf("%v", got)
	}
}

// Memory that is used again has nothing of what was there before.
func TestTracesAreUsedAgain(t *testing.T) {
	r := otlptest.New(t)
	out := begin(t, r.URL, Sampling{Ratio: 1})
	for i := range 100 {
		of := root(out, "even")
		if i%2 == 1 {
			of.Root().Name = "odd"
			s := of.Begin("stage", trace.SpanKindClient)
			s.Set(attribute.Int("i", i))
			s.Event("event", time.Now(), attribute.Int("i", i))
			s.Fail("why")
		}
		of.End()
		if i%10 == 9 {
			want := i + 1 + (i+1)/2
			for len(r.Spans()) < want {
				time.Sleep(time.Millisecond)
			}
		}
	}
	out.Close(context.Background())
	for _, s := range r.Spans() {
		want := "even (server)\n"
		switch s.Name {
		case "odd":
			want = "odd (server)\n"
		case "stage":
			want = "stage (client) error: why\n  | i: N\n  * event\n    | i: N\n"
		}
		if got := regexp.MustCompile(`i: \d+`).ReplaceAllString(otlptest.Tree([]*otlp.Span{s}), "i: N"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A line of the log that belongs to a trace says so.
func TestLogHasTraceID(t *testing.T) {
	var b strings.Builder
	log := NewLogger(&b, slog.LevelInfo).With("a", 1)
	log.InfoContext(trace.ContextWithRemoteSpanContext(context.Background(), remote(true)), "x")
	log.Info("y")
	if text := b.String(); strings.Count(text, `"trace_id":"01000000000000000000000000000000"`) != 1 {
		t.Error(text)
	}
}

// BenchmarkTrace is what an exchange's seven spans cost that are sampled, that may yet be kept, and that nobody wants.
func BenchmarkTrace(b *testing.B) {
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
			b.ReportAllocs()
			for b.Loop() {
				of := root(out, "exchange")
				for range 6 {
					s := of.Begin("stage", trace.SpanKindInternal)
					s.Set(attribute.String("key", "value"), attribute.Int("number", 1))
					s.End()
				}
				of.End()
			}
			out.Close(context.Background())
		})
	}
}
