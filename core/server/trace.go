package server

import (
	"context"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/telemetry/names"
)

// trace begins the exchange's trace, within the client's if that sent a traceparent. It returns a context that belongs to it.
func (s *Server) trace(x *core.Exchange) context.Context {
	ctx := x.Request.Context()
	if s.options.Tracer == nil {
		return ctx
	}
	ctx, x.Trace = s.options.Tracer.Begin(ctx, core.Propagated(x.Request.Header), x.Request.Method+" "+x.Operation.Route(), trace.SpanKindServer, x.Started)
	return ctx
}

// endTrace ends the exchange's trace with what came of it. A refusal is no error of the server's.
func endTrace(x *core.Exchange) {
	span, o := x.Trace.First(), x.Outcome
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
	span.Set(names.RequestMethod.String(x.Request.Method), names.Route.String(x.Operation.Route()), names.URLScheme.String(scheme),
		attribute.String(names.RequestID, x.ID), attribute.String(names.Outcome, outcome))
	if host, _, err := net.SplitHostPort(x.Request.RemoteAddr); err == nil {
		span.Set(names.ClientAddress.String(host))
	}
	if o.Status != apierror.StatusClientGone {
		span.Set(names.ResponseStatus.Int(o.Status))
	}
	if x.User != nil {
		span.Set(attribute.String(names.User, x.User.ID))
	}
	if x.Model != nil {
		span.Set(attribute.String(names.Model, x.Model.Name))
	}
	if n := len(x.Attempts); n > 1 {
		span.Set(attribute.Int(names.Attempts, n))
	}
	if o.Err != nil {
		span.Set(names.ErrorType.String(core.CodeOf(o.Err)), attribute.String(names.Stage, o.Stage))
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
