package telemetry

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
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

// spansOfAllKinds are spans with everything that Berry's have, and little and much of it.
func spansOfAllKinds(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	context := func(n byte, remote bool) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, n}, SpanID: trace.SpanID{2, n}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: remote})
	}
	at := time.Unix(1_700_000_000, 123)
	stubs := tracetest.SpanStubs{
		{Name: "POST /v1", SpanContext: context(1, false), Parent: context(9, true), SpanKind: trace.SpanKindServer, StartTime: at, EndTime: at.Add(time.Second)},
		{Name: "root", SpanContext: context(2, false), SpanKind: trace.SpanKindInternal, StartTime: at, EndTime: at, Status: sdktrace.Status{Code: codes.Ok}},
		{
			Name: "chat", SpanContext: context(3, false), Parent: context(1, false), SpanKind: trace.SpanKindClient, StartTime: at, EndTime: at.Add(time.Minute),
			Status: sdktrace.Status{Code: codes.Error, Description: "status 500"}, DroppedAttributes: 3, DroppedEvents: 200,
			Attributes: []attribute.KeyValue{
				attribute.String("text", "Grüße"), attribute.String("empty", ""), attribute.String("long", strings.Repeat("x", 70_000)),
				attribute.Int("one", 1), attribute.Int("less", -5), attribute.Int("none", 0), attribute.Float64("half", .5), attribute.Float64("zero", 0),
				attribute.Bool("yes", true), attribute.Bool("no", false), attribute.StringSlice("list", []string{"a", "", "c"}), attribute.StringSlice("of nothing", []string{}),
			},
			Events: []sdktrace.Event{{Name: "first", Time: at}, {Name: "second", Time: at, Attributes: []attribute.KeyValue{attribute.Int("n", 1<<40)}, DroppedAttributeCount: 1}},
		},
	}
	for i := range stubs {
		stubs[i].Resource = resource.NewWithAttributes("https://schema", attribute.String("service.name", "berry"))
		stubs[i].InstrumentationScope = instrumentation.Scope{Name: scope, Version: "1", SchemaURL: "https://other"}
	}
	return stubs.Snapshots()
}

// What the encoder writes is what the library would have written.
func TestEncoderIsTheLibrarys(t *testing.T) {
	spans := spansOfAllKinds(t)
	var theirs, ours keptUpload
	library, err := otlptrace.New(t.Context(), &theirs)
	if err != nil {
		t.Fatal(err)
	}
	if err := library.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	e := &encoder{client: &ours}
	for range 2 { // the second time over the same bytes
		ours.batches = nil
		if err := e.ExportSpans(t.Context(), spans); err != nil {
			t.Fatal(err)
		}
		if len(theirs.batches) != 1 || len(ours.batches) != 1 || !proto.Equal(theirs.batches[0], ours.batches[0]) {
			t.Errorf("the library writes\n%.2000s\nthe encoder\n%.2000s", theirs.batches[0].String(), ours.batches[0].String())
		}
	}
}

// BenchmarkEncode is what it takes to put a span on the wire, by the encoder and by the library.
func BenchmarkEncode(b *testing.B) {
	spans := make([]sdktrace.ReadOnlySpan, 512)
	attrs := make([]attribute.KeyValue, 8)
	for i := range attrs {
		attrs[i] = attribute.String("berry.attribute", "some value")
	}
	stub := tracetest.SpanStub{Name: "relay", Attributes: attrs}
	for i := range spans {
		spans[i] = stub.Snapshot()
	}
	library, err := otlptrace.New(b.Context(), &marshal{})
	if err != nil {
		b.Fatal(err)
	}
	for name, e := range map[string]sdktrace.SpanExporter{"library": library, "encoder": &encoder{client: &marshal{}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.ExportSpans(b.Context(), spans); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
		})
	}
}

// marshal is a client that does what the library's do short of sending.
type marshal struct{ keptUpload }

func (*marshal) UploadTraces(_ context.Context, batches []*otlp.ResourceSpans) error {
	_, err := proto.Marshal(batches[0])
	return err
}
