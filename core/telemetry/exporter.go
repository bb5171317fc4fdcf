package telemetry

import (
	"cmp"
	"context"
	"os"
	"slices"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// newExporter returns the exporter that the environment selects; nil if none.
func newExporter(ctx context.Context, of *resource.Resource) (exporter, error) {
	var client otlptrace.Client
	if kind := os.Getenv("OTEL_TRACES_EXPORTER"); kind == "" || kind == "otlp" {
		switch cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf") {
		case "http/protobuf":
			client = otlptracehttp.NewClient()
		case "grpc":
			client = otlptracegrpc.NewClient()
		}
	}
	if client != nil {
		return &encoder{client: client, of: of}, client.Start(ctx)
	}
	other, err := autoexport.NewSpanExporter(ctx) // another kind, or an error
	if err != nil || autoexport.IsNoneSpanExporter(other) {
		return nil, err
	}
	return &library{other, of}, nil
}

// A library exports traces through one of the SDK's exporters.
type library struct {
	sdktrace.SpanExporter
	of *resource.Resource
}

var _ exporter = (*library)(nil)

// gather adds the spans in the SDK's form, which only its test package can make.
func (l *library) gather(b *batch, t *spans.Trace) {
	c := t.Context.WithTraceFlags(t.Context.TraceFlags().WithSampled(true))
	for _, s := range t.Spans() {
		stub := tracetest.SpanStub{
			Name: s.Name, SpanContext: c.WithSpanID(s.ID), Parent: c.WithSpanID(s.Parent), SpanKind: s.Kind, StartTime: s.Began, EndTime: s.Ended,
			Attributes: slices.Clone(s.Attributes), Resource: l.of, InstrumentationScope: instrumentation.Scope{Name: scope},
		}
		if s == t.Root() {
			stub.Parent = t.Parent
		}
		if s.Failed {
			stub.Status = sdktrace.Status{Code: codes.Error, Description: s.Why}
		}
		for _, e := range s.Events {
			stub.Events = append(stub.Events, sdktrace.Event{Name: e.Name, Attributes: e.Attributes, Time: e.At})
		}
		b.others = append(b.others, stub.Snapshot())
	}
}

func (l *library) export(ctx context.Context, b *batch) error { return l.ExportSpans(ctx, b.others) }
