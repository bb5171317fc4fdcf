package telemetry

import (
	"cmp"
	"context"
	"math"
	"os"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// An encoder exports spans by OTLP, over the library's clients. It writes the wire format by itself: the library makes three
// objects for each attribute first, which takes longer than all the rest of a span. (RATIONALE.md)
type encoder struct {
	client otlptrace.Client
	wire   []byte // used again
}

var _ sdktrace.SpanExporter = (*encoder)(nil)

// newExporter returns the exporter that the variables name.
func newExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	var client otlptrace.Client
	if kind := os.Getenv("OTEL_TRACES_EXPORTER"); kind == "" || kind == "otlp" {
		switch cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf") {
		case "http/protobuf":
			client = otlptracehttp.NewClient()
		case "grpc":
			client = otlptracegrpc.NewClient()
		}
	}
	if client == nil {
		return autoexport.NewSpanExporter(ctx) // another kind, or an error that says what is wrong
	}
	return &encoder{client: client}, client.Start(ctx)
}

// ExportSpans exports a batch. One goroutine calls it at a time.
func (e *encoder) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	e.wire = appendResource(e.wire[:0], spans)
	batch := &otlp.ResourceSpans{}
	batch.ProtoReflect().SetUnknown(e.wire) // fields that it does not know it writes as they are
	return e.client.UploadTraces(ctx, []*otlp.ResourceSpans{batch})
}

// Shutdown ends the client.
func (e *encoder) Shutdown(ctx context.Context) error { return e.client.Stop(ctx) }

// The functions below append the messages of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto; the numbers are
// their fields'. Berry's spans have one resource and one scope, and no links.

func appendResource(b []byte, spans []sdktrace.ReadOnlySpan) []byte {
	resource, scope := spans[0].Resource(), spans[0].InstrumentationScope()
	b = message(b, 1, func(b []byte) []byte { return attributes(b, 1, resource.Attributes()) })
	b = message(b, 2, func(b []byte) []byte {
		b = message(b, 1, func(b []byte) []byte { return text(text(b, 1, scope.Name), 2, scope.Version) })
		for _, s := range spans {
			b = message(b, 2, func(b []byte) []byte { return appendSpan(b, s) })
		}
		return text(b, 3, scope.SchemaURL)
	})
	return text(b, 3, resource.SchemaURL())
}

func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	const hasIsRemote, isRemote = 0x100, 0x200
	is, parent := s.SpanContext(), s.Parent()
	id, span := is.TraceID(), is.SpanID()
	flags := uint32(is.TraceFlags()) | hasIsRemote
	if parent.IsRemote() {
		flags |= isRemote
	}
	b = text(b, 1, string(id[:]))
	b = text(b, 2, string(span[:]))
	b = text(b, 3, is.TraceState().String())
	if parent.SpanID().IsValid() {
		of := parent.SpanID()
		b = text(b, 4, string(of[:]))
	}
	b = text(b, 5, s.Name())
	b = number(b, 6, uint64(s.SpanKind()))
	b = moment(b, 7, s.StartTime())
	b = moment(b, 8, s.EndTime())
	b = attributes(b, 9, s.Attributes())
	b = number(b, 10, uint64(s.DroppedAttributes()))
	for _, e := range s.Events() {
		b = message(b, 11, func(b []byte) []byte {
			b = attributes(text(moment(b, 1, e.Time), 2, e.Name), 3, e.Attributes)
			return number(b, 4, uint64(e.DroppedAttributeCount))
		})
	}
	b = number(b, 12, uint64(s.DroppedEvents()))
	b = message(b, 15, func(b []byte) []byte {
		const ok, failed = 1, 2
		b = text(b, 2, s.Status().Description)
		switch s.Status().Code {
		case codes.Ok:
			return number(b, 3, ok)
		case codes.Error:
			return number(b, 3, failed)
		default:
			return b
		}
	})
	b = protowire.AppendTag(b, 16, protowire.Fixed32Type)
	return protowire.AppendFixed32(b, flags)
}

func attributes(b []byte, field protowire.Number, list []attribute.KeyValue) []byte {
	for _, a := range list {
		b = message(b, field, func(b []byte) []byte {
			b = text(b, 1, string(a.Key))
			return message(b, 2, func(b []byte) []byte { return value(b, a.Value) })
		})
	}
	return b
}

// value appends an AnyValue, of the types that Berry's attributes have; of another its text.
func value(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.BOOL:
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), math.Float64bits(v.AsFloat64()))
	case attribute.STRINGSLICE:
		return message(b, 5, func(b []byte) []byte {
			for _, s := range v.AsStringSlice() {
				b = message(b, 1, func(b []byte) []byte { return value(b, attribute.StringValue(s)) })
			}
			return b
		})
	default:
		return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), v.String())
	}
}

func text(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func number(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func moment(b []byte, field protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), uint64(t.UnixNano()))
}

// message appends a field that is the message which fill appends. Its length stands before it: there is room for a short one,
// and the message makes way for a longer one.
func message(b []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	at := len(b)
	b = fill(append(b, 0))
	n := len(b) - at - 1
	more := protowire.SizeVarint(uint64(n)) - 1
	for range more {
		b = append(b, 0)
	}
	copy(b[at+1+more:], b[at+1:at+1+n])
	protowire.AppendVarint(b[:at], uint64(n))
	return b
}
