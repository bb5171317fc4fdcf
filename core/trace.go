package core

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/berrygate/berry/core/telemetry/names"
)

// StartSpan starts a span within that of ctx, or, if the tracer is nil, one that costs nothing and shows nothing. The caller
// ends it, as a rule with EndSpan.
func StartSpan(ctx context.Context, t trace.Tracer, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	return t.Start(ctx, name, o...)
}

// Start starts the span of a part of the exchange, as StartSpan does.
func (x *Exchange) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return StartSpan(ctx, x.Tracer, name, o...)
}

// EndSpan ends a span with what ended it; nil if all went well.
func EndSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(names.ErrorType.String(CodeOf(err)))
		var e *Error
		if !errors.As(err, &e) || e.Status != StatusClientGone {
			span.SetStatus(codes.Error, Describe(err))
		}
	}
	span.End()
}

// Propagate writes into the header of a request which span it belongs to, as traceparent and tracestate (W3C Trace Context). If
// it belongs to none, the header stays as it is.
func Propagate(ctx context.Context, h http.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	delete(h, "Tracestate") // of the span before
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}

// ServerOf returns the attributes that say where a request to the URL goes. Its path and query are not among them.
func ServerOf(u *url.URL) []attribute.KeyValue {
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		port = n
	}
	return []attribute.KeyValue{names.ServerAddress.String(u.Hostname()), names.ServerPort.Int(port)}
}

// CodeOf returns the code of the error that a client is told of.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternalError
}

// Describe returns what the operator is told of err, in logs and traces: what failed and why; of a refusal its code alone, since
// the words for the client quote what it sent.
func Describe(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Type == TypeInvalidRequest && e.Cause == nil {
		return e.Code
	}
	const most = 1000
	return ClipTo(err.Error(), most)
}

// ClipTo returns s, or the first n bytes of it and an ellipsis.
func ClipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
