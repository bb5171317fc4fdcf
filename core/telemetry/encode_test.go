package telemetry

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// A kept client keeps what it is given to upload.
type keptUpload struct{ batches []*otlp.ResourceSpans }

func (*keptUpload) Start(context.Context) error { return nil }
func (*keptUpload) Stop(context.Context) error  { return nil }
func (k *keptUpload) UploadTraces(_ context.Context, batches []*otlp.ResourceSpans) error {
	for _, b := range batches { // as it is on the wire
		wire, err := proto.Marshal(b)
		if err != nil {
			return err
		}
		read := &otlp.ResourceSpans{}
		if err := proto.Unmarshal(wire, read); err != nil {
			return err
		}
		k.batches = append(k.batches, read)
	}
	return nil
}

// An owner has room, and takes what has ended.
type owner struct{}

func (owner) Capacity(*spans.Trace) bool { return true }
func (owner) Ended(*spans.Trace)         {}

// allKinds are traces with everything that Berry's have, and little and much of it.
func allKinds(t *testing.T) []*spans.Trace {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	within := func(n byte, remote bool) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, n}, SpanID: trace.SpanID{2, n}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: remote})
	}
	at := time.Unix(1_700_000_000, 123)
	one, other := &spans.Trace{}, &spans.Trace{}
	other.Start(owner{}, within(2, false).WithTraceFlags(0), trace.SpanContext{}, "root", trace.SpanKindInternal, at)
	other.End()
	one.Start(owner{}, within(1, false), within(9, true), "POST /v1", trace.SpanKindServer, at)
	s := one.BeginAt("chat", trace.SpanKindClient, at)
	s.Set(attribute.String("text", "Grüße"), attribute.String("empty", ""), attribute.String("long", strings.Repeat("x", 70_000)),
		attribute.Int("one", 1), attribute.Int("less", -5), attribute.Int("none", 0), attribute.Float64("half", .5), attribute.Float64("zero", 0),
		attribute.Bool("yes", true), attribute.Bool("no", false), attribute.StringSlice("list", []string{"a", "", "c"}), attribute.StringSlice("of nothing", []string{}))
	s.Event("first", at)
	s.Event("second", at, attribute.Int("n", 1<<40))
	s.Fail("status 500")
	one.Begin("within", trace.SpanKindInternal).End()
	s.End()
	one.Begin("beside", trace.SpanKindInternal)
	one.End()
	return []*spans.Trace{one, other}
}

// What the encoder writes is what the library would have written.
func TestEncoderIsTheLibrarys(t *testing.T) {
	of := resource.NewWithAttributes("https://schema", attribute.String("service.name", "berry"))
	batch := allKinds(t)
	var theirs, ours keptUpload
	exporter, err := otlptrace.New(t.Context(), &theirs)
	if err != nil {
		t.Fatal(err)
	}
	send(t, &library{exporter, of}, batch)
	for range 2 {
		ours.batches = nil
		send(t, &encoder{client: &ours, of: of}, batch)
		if len(theirs.batches) != 1 || len(ours.batches) != 1 || !proto.Equal(theirs.batches[0], ours.batches[0]) {
			t.Errorf("the library writes\n%.2000s\nthe encoder\n%.2000s", theirs.batches[0].String(), ours.batches[0].String())
		}
	}
}

func send(tb testing.TB, e exporter, traces []*spans.Trace) {
	tb.Helper()
	var b batch
	for _, t := range traces {
		e.gather(&b, t)
	}
	if err := e.export(context.Background(), &b); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkEncode is what it takes to put a span on the wire, by the encoder and by the library.
func BenchmarkEncode(b *testing.B) {
	const n = 512
	var batch []*spans.Trace
	for range n / 8 {
		t := &spans.Trace{}
		t.Start(owner{}, trace.SpanContext{}, trace.SpanContext{}, "POST /v1", trace.SpanKindServer, time.Now())
		for range 7 {
			s := t.Begin("relay", trace.SpanKindInternal)
			for range 8 {
				s.Set(attribute.String("berry.attribute", "some value"))
			}
		}
		t.End()
		batch = append(batch, t)
	}
	exporting, err := otlptrace.New(b.Context(), &marshal{})
	if err != nil {
		b.Fatal(err)
	}
	of := resource.Empty()
	for name, e := range map[string]exporter{"library": &library{exporting, of}, "encoder": &encoder{client: &marshal{}, of: of}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				send(b, e, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/span")
		})
	}
}

// marshal is a client that does what the library's do short of sending.
type marshal struct{ keptUpload }

func (*marshal) UploadTraces(_ context.Context, batches []*otlp.ResourceSpans) error {
	_, err := proto.Marshal(batches[0])
	return err
}
