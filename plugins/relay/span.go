package relay

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/telemetry/names"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/sdk/abi"
)

// attempt makes the attempt in a span of its own, and ends it.
func (g *passage) attempt(ctx context.Context, a *core.Attempt) {
	ctx, n := newNotes(ctx, g.x, a, g.options.CaptureBytes)
	defer n.end()
	a.Failure = g.once(ctx, a, n)
	if f := a.Failure; f != nil && f.Answer != nil && a.Backend.Quotes(f.Answer.Body) {
		f.Answer = nil // whatever its status
	}
	a.End(time.Now(), g.options.Health)
}

// notes are what a trace is to tell of one attempt. Where nobody records it they are nil, and cost nothing.
type notes struct {
	span     *spans.Span
	x        *core.Exchange
	a        *core.Attempt
	answered bool     // by a plain answer, or a stream's first event
	finish   []string // reasons
	room     [1]string
	content  *content // nil if none is captured
}

// newNotes starts the attempt's span, of a call to a model by the GenAI conventions, and returns it within its context.
func newNotes(ctx context.Context, x *core.Exchange, a *core.Attempt, captured int) (context.Context, *notes) {
	if x.Trace == nil {
		return ctx, nil
	}
	n := &notes{span: x.Trace.Begin(x.Operation.Name+" "+a.Backend.Upstream.Model, trace.SpanKindClient), x: x, a: a}
	if captured > 0 && x.Onward == nil { // what is kept was asked and answered before, and what is said in a WebSocket is sound
		n.content = &content{most: captured}
	}
	return n.span.In(ctx), n
}

// sent notes where the request goes.
func (n *notes) sent(r *http.Request) {
	if n == nil {
		return
	}
	b := n.a.Backend
	n.span.Set(names.Operation.String(n.x.Operation.Name), names.GenAIProvider.String(b.System),
		names.RequestModel.String(b.Upstream.Model), attribute.String(names.Model, n.x.Model.Name),
		attribute.String(names.Provider, b.Upstream.Provider.ID), attribute.Int(names.Attempt, n.a.Number))
	core.SetServer(n.span, r.URL)
	if n.x.Body.Stream {
		n.span.Set(names.RequestStream.Bool(true))
	}
	if n.x.Body.MaxTokens > 0 {
		n.span.Set(names.RequestMaxTokens.Int64(int64(n.x.Body.MaxTokens)))
	}
	if n.a.Probe {
		n.span.Set(attribute.Bool(names.Probe, true))
	}
	switch {
	case isResponses(n.x):
		n.sentResponses()
	case n.content != nil:
		n.captured(names.InputMessages, n.content.asked(n.x.Body.Bytes))
	}
}

// captured notes a text under the key, if there is one.
func (n *notes) captured(key attribute.Key, text string) {
	if text != "" {
		n.span.Set(key.String(text))
	}
}

// plain notes what a plain answer says of itself.
func (n *notes) plain(body []byte) {
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
func (n *notes) event(data []byte) {
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

// read notes, in one pass over an answer or an event, which answer of which model it is, and what its choices say.
func (n *notes) read(data []byte) {
	c := &cursor{text: data}
	first := !n.answered
	n.answered = true
	c.object(func(key []byte) bool {
		switch string(key) {
		case "id":
			return n.name(c, names.ResponseID, first)
		case "model":
			return n.name(c, names.ResponseModel, first)
		case "choices":
			if c.peek() == '[' {
				return c.array(func() bool { return n.choice(c) })
			}
		}
		return c.value()
	})
}

// name notes a string under the key, if that is wanted and it is one.
func (n *notes) name(c *cursor, key attribute.Key, wanted bool) bool {
	const longest = 200 // it is the provider's to choose
	if !wanted || n.span.Has(key) || c.peek() != '"' {
		return c.value()
	}
	s, ok := c.string()
	n.span.Set(key.String(cut(string(s), longest)))
	return ok
}

// choice notes why a choice has ended, and, if that is wanted, what it says.
func (n *notes) choice(c *cursor) bool {
	if n.content != nil {
		begin := c.at
		ok := c.value()
		n.content.said(core.ViewJSON(c.text[begin:c.at]))
		c.at = begin
		if !ok {
			return false
		}
	}
	if c.peek() != '{' {
		return c.value()
	}
	return c.object(func(key []byte) bool {
		const most, longest = 16, 50
		if string(key) != "finish_reason" || c.peek() != '"' || len(n.finish) == most {
			return c.value()
		}
		s, ok := c.string()
		if n.finish == nil {
			n.finish = n.room[:0]
		}
		n.finish = append(n.finish, reason(s, longest))
		return ok
	})
}

// reason returns a finish reason, at most so much of it. Most are OpenAI's, whose strings are there already.
func reason(s []byte, longest int) string {
	for _, known := range [...]string{"stop", "length", "tool_calls", "content_filter"} {
		if string(s) == known {
			return known
		}
	}
	return cut(string(s), longest)
}

// end ends the span with what came of the attempt.
func (n *notes) end() {
	if n == nil {
		return
	}
	defer n.span.End()
	a := n.a
	n.span.Set(attribute.String(names.Result, a.Result().String()))
	if a.Status != 0 && a.Failure != nil {
		n.span.Set(names.ResponseStatus.Int(a.Status))
	}
	if u := a.Usage; u != (core.Usage{}) {
		n.span.Set(names.UsageInputTokens.Int64(int64(u.InputTokens)), names.UsageOutputTokens.Int64(int64(u.OutputTokens)))
	}
	if len(n.finish) > 0 {
		n.span.Set(names.FinishReasons.StringSlice(n.finish))
	}
	if ttft := a.TTFT(); ttft > 0 {
		n.span.Set(names.TimeToFirstChunk.Float64(ttft.Seconds()))
		n.span.Event(names.EventFirstToken, a.FirstToken)
	}
	if a.Dropped > 0 {
		n.span.Set(attribute.Int(names.DroppedEvents, a.Dropped))
	}
	if n.content != nil {
		if text := n.content.answer(n.finish); text != "" {
			n.span.Set(names.OutputMessages.String(text))
		}
	}
	n.failure()
}

// failure notes why the attempt failed, in the gateway's words: a provider's may quote the key. Where the client left, or its
// request was at fault, nothing did.
func (n *notes) failure() {
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
		n.span.Fail(core.ClipTo(core.Brief(f.Err), longest))
	}
	n.span.Set(names.ErrorType.String(f.Result.String()))
}
