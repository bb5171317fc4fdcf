package core

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
)

// EndSpan ends a span at the time with what ended it; nil if all went well.
func EndSpan(span *spans.Span, err error, at time.Time) {
	if err != nil && span != nil {
		span.Set(semconv.ErrorType.String(CodeOf(err)))
		var e *apierror.Error
		if !errors.As(err, &e) || e.Status != apierror.StatusClientGone {
			span.Fail(Describe(err))
		}
	}
	span.EndAt(at)
}

// Propagate writes into the header of a request which span it belongs to, as traceparent and tracestate (W3C Trace Context). If
// it belongs to none, the header stays as it is.
func Propagate(ctx context.Context, h http.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	delete(h, "Tracestate") // of the span before
	propagation.TraceContext{}.Inject(ctx, carrier{propagation.HeaderCarrier(h)})
}

// Propagated returns the span that the sender of a request with the header says it belongs to; one that is not valid if it does
// not say.
func Propagated(h http.Header) trace.SpanContext {
	if h["Traceparent"] == nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h)))
}

// A carrier knows how net/http spells the header that is always set, which costs it an allocation to find out.
type carrier struct{ propagation.HeaderCarrier }

// Set sets a field of the header.
func (c carrier) Set(key, value string) {
	if key == "traceparent" {
		c.HeaderCarrier["Traceparent"] = []string{value}
		return
	}
	c.HeaderCarrier.Set(key, value)
}

// SetServer says in the span where a request to the URL goes, but for its path and query.
func SetServer(span *spans.Span, u *url.URL) {
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		port = n
	}
	span.Set(semconv.ServerAddress.String(u.Hostname()), semconv.ServerPort.Int(port))
}

// CodeOf returns the code of the error that a client is told of.
func CodeOf(err error) string {
	var e *apierror.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return apierror.CodeInternalError
}

// Describe returns what the operator is told of err, in logs and traces: what failed and why; of a refusal its code alone, since
// the words for the client quote what it sent.
func Describe(err error) string {
	var e *apierror.Error
	if errors.As(err, &e) && e.Type == apierror.TypeInvalidRequest && e.Cause == nil {
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
