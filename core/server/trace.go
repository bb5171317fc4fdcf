package server

import (
	"context"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/telemetry/names"
)

// trace starts the exchange's span, within the client's if that sent a traceparent. If nobody records it, neither is anything
// recorded within.
func (s *Server) trace(x *core.Exchange) (context.Context, trace.Span) {
	ctx := x.Request.Context()
	if s.options.Tracer == nil {
		return ctx, noop.Span{}
	}
	within := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(x.Request.Header))
	within, span := s.options.Tracer.Start(within, x.Request.Method+" "+x.Operation.Route(),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.Started))
	if !span.SpanContext().IsValid() {
		return ctx, span // there is no room for it: the client's trace context passes as it is
	}
	if span.IsRecording() {
		x.Tracer = s.options.Tracer
	}
	return within, span
}

// endTrace ends the exchange's span with what came of it. A refusal is no error of the server's.
func endTrace(span trace.Span, x *core.Exchange) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	o := x.Outcome
	scheme := "http"
	if x.Request.TLS != nil {
		scheme = "https"
	}
	attrs := append(make([]attribute.KeyValue, 0, 14), names.RequestMethod.String(x.Request.Method), names.Route.String(x.Operation.Route()),
		names.URLScheme.String(scheme), attribute.String(names.RequestID, x.ID), attribute.String(names.Outcome, o.Name()))
	if host, _, err := net.SplitHostPort(x.Request.RemoteAddr); err == nil {
		attrs = append(attrs, names.ClientAddress.String(host))
	}
	if o.Status != core.StatusClientGone {
		attrs = append(attrs, names.ResponseStatus.Int(o.Status))
	}
	if x.User != nil {
		attrs = append(attrs, attribute.String(names.User, x.User.ID))
	}
	if x.Model != nil {
		attrs = append(attrs, attribute.String(names.Model, x.Model.Name))
	}
	if n := len(x.Attempts); n > 1 {
		attrs = append(attrs, attribute.Int(names.Attempts, n))
	}
	if o.Err != nil {
		attrs = append(attrs, names.ErrorType.String(core.CodeOf(o.Err)), attribute.String(names.Stage, o.Stage))
	}
	span.SetAttributes(attrs...)
	if o.Name() == "failed" {
		description := http.StatusText(o.Status)
		if o.Err != nil {
			description = core.Describe(o.Err)
		}
		span.SetStatus(codes.Error, description)
	}
}
