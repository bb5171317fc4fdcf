package telemetry

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	otlpcommon "go.opentelemetry.io/proto/otlp/common/v1"
	otlpresource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// An encoder exports traces by OTLP, through the SDK's clients. It writes the wire format itself: the SDK makes three objects per attribute
// first, which takes longer than everything else about a span. (RATIONALE.md)
type encoder struct {
	client otlptrace.Client
	of     *resource.Resource
}

var _ exporter = (*encoder)(nil)

func (e *encoder) gather(b *batch, t *spans.Trace) {
	state := t.Context.TraceState().String()
	for _, s := range t.Spans() {
		b.wire = message(b.wire, 2, func(wire []byte) []byte { return appendSpan(wire, t, s, state) })
	}
}

// export exports a batch. It passes the encoded bytes as unknown fields of an SDK message, which are written unchanged.
func (e *encoder) export(ctx context.Context, b *batch) error {
	of, spans := &otlpresource.Resource{}, &otlp.ScopeSpans{Scope: &otlpcommon.InstrumentationScope{Name: scope}}
	of.ProtoReflect().SetUnknown(attributes(nil, 1, e.of.Attributes()))
	spans.ProtoReflect().SetUnknown(b.wire)
	return e.client.UploadTraces(ctx, []*otlp.ResourceSpans{{Resource: of, ScopeSpans: []*otlp.ScopeSpans{spans}, SchemaUrl: e.of.SchemaURL()}})
}

// Shutdown shuts the client down.
func (e *encoder) Shutdown(ctx context.Context) error { return e.client.Stop(ctx) }

// The functions below append the messages of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto; the numbers are field
// numbers. Berry's spans have one resource and one scope.

func appendSpan(b []byte, t *spans.Trace, s *spans.Span, state string) []byte {
	const hasIsRemote, isRemote = 0x100, 0x200
	flags := uint32(t.Context.TraceFlags().WithSampled(true)) | hasIsRemote // a trace that was kept at its end counts as sampled
	if s == t.Root() && t.Parent.IsRemote() {
		flags |= isRemote
	}
	id := t.Context.TraceID()
	b = octets(b, 1, id[:])
	b = octets(b, 2, s.ID[:])
	b = text(b, 3, state)
	if s.Parent.IsValid() {
		b = octets(b, 4, s.Parent[:])
	}
	b = text(b, 5, s.Name)
	b = number(b, 6, uint64(s.Kind))
	b = moment(b, 7, s.Began)
	b = moment(b, 8, s.Ended)
	b = attributes(b, 9, s.Attributes)
	for _, e := range s.Events {
		b = message(b, 11, func(b []byte) []byte { return attributes(text(moment(b, 1, e.At), 2, e.Name), 3, e.Attributes) })
	}
	if s == t.Root() && t.Link.IsValid() {
		b = message(b, 13, func(b []byte) []byte {
			id, of := t.Link.TraceID(), t.Link.SpanID()
			return text(octets(octets(b, 1, id[:]), 2, of[:]), 3, t.Link.TraceState().String())
		})
	}
	b = message(b, 15, func(b []byte) []byte {
		const failed = 2
		if !s.Failed {
			return b
		}
		return number(text(b, 2, s.Why), 3, failed)
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

// value appends an AnyValue of the types that Berry's attributes have; of another type, its text.
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

func octets(b []byte, field protowire.Number, s []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), s)
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

// message appends a field that contains the message which fill appends. It reserves one byte for the length, and moves the message if it
// needs more.
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
