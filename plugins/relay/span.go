package relay

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/sdk/abi"
)

// attempt makes the attempt in a span of its own, and ends it.
func (g *relayer) attempt(ctx context.Context, a *core.Attempt) {
	ctx, n := newNotes(ctx, g.x, a, g.options.CaptureBytes)
	defer n.end()
	a.Failure = g.runAttempt(ctx, a, n)
	if f := a.Failure; f != nil && f.Answer != nil && a.Backend.ContainsSecret(f.Answer.Body) {
		f.Answer = nil // whatever its status
	}
	a.End(time.Now(), g.options.Health)
}

// attemptSpan are what a trace is to tell of one attempt. Where nobody records it they are nil, and cost nothing.
type attemptSpan struct {
	span     *spans.Span
	x        *core.Exchange
	a        *core.Attempt
	answered bool     // by a plain answer, or a stream's first event
	finish   []string // reasons
	content  *content // nil if none is captured
}

// newNotes starts the attempt's span, of a call to a model by the GenAI conventions, and returns it within its context.
func newNotes(ctx context.Context, x *core.Exchange, a *core.Attempt, captured int) (context.Context, *attemptSpan) {
	if x.Trace == nil {
		return ctx, nil
	}
	n := &attemptSpan{span: x.Trace.Begin(x.Operation.Name+" "+a.Backend.Upstream.Model, trace.SpanKindClient), x: x, a: a}
	if captured > 0 && x.Passthrough == nil { // what is kept was asked and answered before, and what is said in a WebSocket is sound
		n.content = &content{most: captured}
	}
	return n.span.In(ctx), n
}

// sent notes where the request goes.
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
	switch {
	case isResponses(n.x):
		n.sentResponses()
	case n.content != nil:
		n.captured(semconv.InputMessages, n.content.asked(n.x.Body.Bytes))
	}
}

// captured notes a text under the key, if there is one.
func (n *attemptSpan) captured(key attribute.Key, text string) {
	if text != "" {
		n.span.Set(key.String(text))
	}
}

// plain notes what a plain answer says of itself.
func (n *attemptSpan) plain(body []byte) {
	switch {
	case n == nil:
	case n.x.Operation.Anthropic:
		n.message(body)
	case isResponses(n.x):
		n.response(body)
	default:
		n.read(body)
	}
}

// event notes what an event of a stream says of the answer. Most say nothing that is wanted, and are hardly looked at.
func (n *attemptSpan) event(data []byte) {
	switch {
	case n == nil:
		return
	case n.x.Operation.Anthropic:
		n.message(data)
		return
	case isResponses(n.x):
		n.response(data)
		return
	}
	_, after, found := bytes.Cut(data, []byte(`"finish_reason":`))
	ends := found && bytes.HasPrefix(bytes.TrimLeft(after, " "), []byte{'"'})
	if n.answered && !ends && n.content == nil {
		return
	}
	n.read(data)
}

// read notes which answer of which model it is, and what its choices say. That data is JSON has been found out before.
func (n *attemptSpan) read(data []byte) {
	first := !n.answered
	n.answered = true
	jsonx.View(data).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "id":
			n.name(value, semconv.ResponseID, first)
		case "model":
			n.name(value, semconv.ResponseModel, first)
		case "choices":
			if value.IsArray() {
				value.ForEach(n.choice)
			}
		}
		return true
	})
}

// name notes a string under the key, if that is wanted and it is one.
func (n *attemptSpan) name(value gjson.Result, key attribute.Key, wanted bool) {
	const longest = 200 // it is the provider's to choose
	if wanted && value.Type == gjson.String && !n.span.Has(key) {
		n.span.Set(key.String(strings.Clone(truncate(value.Str, longest))))
	}
}

// choice notes why a choice has ended, and, if that is wanted, what it says.
func (n *attemptSpan) choice(_, choice gjson.Result) bool {
	if n.content != nil {
		n.content.said(choice)
	}
	const most = 16
	if why := choice.Get("finish_reason"); why.Type == gjson.String && len(n.finish) < most {
		n.finish = append(n.finish, reason(why.Str))
	}
	return true
}

// reason returns a finish reason of its own memory. Most are OpenAI's, which are there already.
func reason(s string) string {
	for _, known := range [...]string{"stop", "length", "tool_calls", "content_filter"} {
		if s == known {
			return known
		}
	}
	const longest = 50
	return strings.Clone(truncate(s, longest))
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
	if u := a.Usage; u != (core.Usage{}) {
		n.span.Set(semconv.UsageInputTokens.Int64(int64(u.InputTokens)), semconv.UsageOutputTokens.Int64(int64(u.OutputTokens)))
	}
	if len(n.finish) > 0 {
		n.span.Set(semconv.FinishReasons.StringSlice(n.finish))
	}
	if ttft := a.TTFT(); ttft > 0 {
		n.span.Set(semconv.TimeToFirstChunk.Float64(ttft.Seconds()))
		n.span.Event(semconv.EventFirstToken, a.FirstToken)
	}
	if a.Dropped > 0 {
		n.span.Set(attribute.Int(semconv.DroppedEvents, a.Dropped))
	}
	if n.content != nil {
		if text := n.content.answer(n.finish); text != "" {
			n.span.Set(semconv.OutputMessages.String(text))
		}
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
