package relay

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/capture"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/sdk/abi"
)

// attempt makes the attempt in a span of its own, and ends it.
func (g *relayer) attempt(ctx context.Context, a *core.Attempt) {
	ctx, n := newAttemptSpan(ctx, g.x, a, g.options.CaptureBytes)
	defer n.end()
	a.Failure = g.runAttempt(ctx, a, n)
	if f := a.Failure; f != nil && f.Answer != nil && a.Backend.ContainsSecret(f.Answer.Body) {
		f.Answer = nil // whatever its status
	}
	a.End(time.Now(), g.options.Health)
}

// An attemptSpan is the span of one attempt. It is nil, and costs nothing, if nobody records the trace.
type attemptSpan struct {
	span *spans.Span
	x    *core.Exchange
	a    *core.Attempt
	api.Description
}

// newAttemptSpan starts the attempt's span, of a call to a model by the GenAI conventions, and returns it within its context. capture is how many
// bytes of text it captures of the request and of the response.
func newAttemptSpan(ctx context.Context, x *core.Exchange, a *core.Attempt, captureBytes int) (context.Context, *attemptSpan) {
	if x.Trace == nil {
		return ctx, nil
	}
	n := &attemptSpan{span: x.Trace.Begin(x.Operation.Name+" "+a.Backend.Upstream.Model, trace.SpanKindClient), x: x, a: a}
	if captureBytes > 0 && x.Passthrough == nil { // a stored response was captured when it was made, and sessions are sound
		n.Limit, n.Output = captureBytes, capture.NewOutput(captureBytes)
	}
	return n.span.In(ctx), n
}

// sent adds where the request goes, and what it contains.
func (n *attemptSpan) sent(r *http.Request) {
	if n == nil {
		return
	}
	b := n.a.Backend
	n.span.Set(semconv.Operation.String(n.x.Operation.Name), semconv.GenAIProvider.String(b.System),
		semconv.RequestModel.String(b.Upstream.Model), attribute.String(semconv.Model, n.x.Model.Name),
		attribute.String(semconv.Provider, b.Upstream.Provider.ID), attribute.Int(semconv.Attempt, n.a.Number))
	core.SetServer(n.span, r.URL)
	if n.x.Body.Stream {
		n.span.Set(semconv.RequestStream.Bool(true))
	}
	if n.x.Body.MaxTokens > 0 {
		n.span.Set(semconv.RequestMaxTokens.Int64(int64(n.x.Body.MaxTokens)))
	}
	if n.a.Probe != 0 {
		n.span.Set(attribute.Bool(semconv.Probe, true))
	}
	n.x.Operation.Protocol.DescribeRequest(jsonx.View(n.x.Body.Bytes), &n.Description)
	n.set(semconv.OpenAIAPI, n.API)
	n.set(semconv.ConversationID, n.Conversation)
	n.set(semconv.Instructions, n.Instructions)
	n.set(semconv.InputMessages, n.Input)
}

// set sets an attribute, unless it is "".
func (n *attemptSpan) set(key attribute.Key, value string) {
	if value != "" {
		n.span.Set(key.String(value))
	}
}

// describe adds what a response, or an event of one, contains.
func (n *attemptSpan) describe(data []byte) {
	if n != nil {
		n.x.Operation.Protocol.Describe(data, &n.Description)
	}
}

// end ends the span with what came of the attempt.
func (n *attemptSpan) end() {
	if n == nil {
		return
	}
	a := n.a
	n.span.Set(attribute.String(semconv.Result, a.Result().String()))
	if a.Status != 0 && a.Failure != nil {
		n.span.Set(semconv.ResponseStatus.Int(a.Status))
	}
	if u := a.Usage; u != (api.Usage{}) {
		n.span.Set(semconv.UsageInputTokens.Int64(int64(u.InputTokens)), semconv.UsageOutputTokens.Int64(int64(u.OutputTokens)))
	}
	n.set(semconv.ResponseID, n.ID)
	n.set(semconv.ResponseModel, n.Model)
	if len(n.Finish) > 0 {
		n.span.Set(semconv.FinishReasons.StringSlice(n.Finish))
	}
	if ttft := a.TTFT(); ttft > 0 {
		n.span.Set(semconv.TimeToFirstChunk.Float64(ttft.Seconds()))
		n.span.Event(semconv.EventFirstToken, a.FirstToken)
	}
	if a.Dropped > 0 {
		n.span.Set(attribute.Int(semconv.DroppedEvents, a.Dropped))
	}
	if n.Output != nil {
		n.set(semconv.OutputMessages, n.Output.JSON(n.Finish))
	}
	n.failure()
	n.span.End()
}

// failure notes why the attempt failed, in the gateway's words: a provider's may quote the key. Where the client left, or its
// request was at fault, nothing did.
func (n *attemptSpan) failure() {
	if n.a.Ended.IsZero() {
		n.span.Fail("panic")
		return
	}
	f := n.a.Failure
	if f == nil {
		return
	}
	if f.Result != abi.ClientCancelled {
		const longest = 500
		n.span.Fail(core.ClipTo(core.RootCause(f.Err), longest))
	}
	n.span.Set(semconv.ErrorType.String(f.Result.String()))
}
