package server

import (
	"context"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/telemetry/semconv"
)

// trace starts the exchange's trace, as a part of the client's if that sent a traceparent, and returns its context.
func (s *Server) trace(x *core.Exchange) context.Context {
	ctx := x.Request.Context()
	if s.options.Tracer == nil {
		return ctx
	}
	ctx, x.Trace = s.options.Tracer.Begin(ctx, core.Propagated(x.Request.Header), x.Request.Method+" "+x.Operation.Route(), trace.SpanKindServer, x.Started)
	return ctx
}

// endTrace ends the exchange's trace with the outcome. A rejected request is no error of the server.
func endTrace(x *core.Exchange) {
	span, o := x.Trace.Root(), x.Outcome
	if span == nil {
		return
	}
	outcome := o.Name()
	if o.Stage == authStage && o.Err != nil {
		x.Trace.Detach()
	}
	scheme := "http"
	if x.Request.TLS != nil {
		scheme = "https"
	}
	span.Set(semconv.RequestMethod.String(x.Request.Method), semconv.Route.String(x.Operation.Route()), semconv.URLScheme.String(scheme),
		attribute.String(semconv.RequestID, x.ID), attribute.String(semconv.Outcome, outcome))
	if host, _, err := net.SplitHostPort(x.Request.RemoteAddr); err == nil {
		span.Set(semconv.ClientAddress.String(host))
	}
	if o.Status != apierror.StatusClientGone {
		span.Set(semconv.ResponseStatus.Int(o.Status))
	}
	if x.User != nil {
		span.Set(attribute.String(semconv.User, x.User.ID))
	}
	if x.Model != nil {
		span.Set(attribute.String(semconv.Model, x.Model.Name))
	}
	if n := len(x.Attempts); n > 1 {
		span.Set(attribute.Int(semconv.Attempts, n))
	}
	if o.Err != nil {
		span.Set(semconv.ErrorType.String(core.CodeOf(o.Err)), attribute.String(semconv.Stage, o.Stage))
	}
	if outcome == "failed" {
		description := http.StatusText(o.Status)
		if o.Err != nil {
			description = core.Describe(o.Err)
		}
		span.Fail(description)
	}
	x.Trace.End()
	x.Trace = nil
}
