package relay

import (
	"bytes"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/messages"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/route"
)

// Where clients of Anthropic's API get something else than those of OpenAI's.

// asks returns the dialect in which the backend is asked, and what translates to it; nil where bytes pass as they are. For a client of
// Anthropic's API that is so at a provider that speaks it, too: it gets, with the header, which version and which betas the client speaks.
func (t *attemptRun) asks(header http.Header) (adapter.Adapter, adapter.Translator) {
	to, op := t.a.Backend.Adapter, t.x.Operation
	switch {
	case !op.Anthropic:
		translator, _ := to.(adapter.Translator)
		return to, translator
	case !to.Serves(op.Path):
		front := messages.Translate(to, op.Via)
		return front, front
	}
	for _, name := range []string{"Anthropic-Version", "Anthropic-Beta"} {
		if values := t.x.Request.Header[name]; len(values) > 0 {
			header[name] = values
		}
	}
	return to, nil
}

// envelope returns e in the words of the API that the client speaks.
func (g *relayer) envelope(e *apierror.Error) []byte {
	if g.x.Operation.Anthropic {
		return messages.Envelope(e.Status, e.Code, e.Message, g.x.ID)
	}
	return e.Envelope()
}

// reports returns the tokens that a whole answer reports.
func (g *relayer) reports(answer gjson.Result) core.Usage {
	if g.x.Operation.Anthropic {
		var u messageUsage
		u.read(answer.Get("usage"))
		return u.total()
	}
	return usage(answer.Get("usage"))
}

// modelOf returns where an answer, or an event of a stream, names its model.
func (g *relayer) modelOf(answer gjson.Result) gjson.Result {
	if g.x.Operation.Anthropic {
		if inner := answer.Get("message.model"); inner.Exists() {
			return inner
		}
	}
	return answer.Get("model")
}

// call returns what route must know of the attempt's call.
func (t *attemptRun) call() route.Call {
	return route.Call{Model: t.a.Backend.Upstream.Model, Kept: t.x.Passthrough != nil}
}

// classify returns what a provider's error means. The error is in OpenAI's words, but for one of a provider that is asked in Anthropic's
// own.
func (t *attemptRun) classify(a *core.Answer) *core.Failure {
	if t.x.Operation.Anthropic {
		return t.classifyMessage(a)
	}
	return route.Classify(a, t.call(), time.Now())
}

// classifyError is classify for an error in the client's words that stands where an answer should be, under status 200.
func (t *attemptRun) classifyError(body []byte, header http.Header) *core.Failure {
	switch {
	case t.x.Operation.Anthropic:
		said := messages.Refusal(0, body)
		if said.Status == 0 {
			said.Status = http.StatusInternalServerError
		}
		f := route.Classify(&core.Answer{Status: said.Status, Header: header, Body: said.Body}, t.call(), time.Now())
		return t.inAnthropic(f, body)
	case isResponses(t.x):
		body = t.gatewayID(responseEnvelope(body))
	}
	return route.ClassifyError(body, header, t.call(), time.Now())
}

// classifyMessage is classify for a client of Anthropic's API.
func (t *attemptRun) classifyMessage(a *core.Answer) *core.Failure {
	if t.translator != nil {
		return t.inAnthropic(route.Classify(a, t.call(), time.Now()), nil)
	}
	said := messages.Refusal(a.Status, a.Body)
	f := route.Classify(&core.Answer{Status: said.Status, Header: a.Header, Body: said.Body, Page: said.Page}, t.call(), time.Now())
	if f.Answer != nil && said.Status != http.StatusTooManyRequests { // which some errors become that are the operator's
		f.Answer.Status = a.Status
	}
	return t.inAnthropic(f, a.Body)
}

// inAnthropic puts the failure's answer into Anthropic's words: as they came, if body is that, else those of the gateway.
func (t *attemptRun) inAnthropic(f *core.Failure, body []byte) *core.Failure {
	a := f.Answer
	if a == nil {
		return f
	}
	if a.Header = a.Header.Clone(); a.Header == nil {
		a.Header = http.Header{}
	}
	a.Header.Set("Content-Type", "application/json")
	if a.Body = messages.ErrorBody(a.Status, a.Body, t.x.ID); messages.IsError(body) {
		a.Body = bytes.Clone(body)
	}
	return f
}
