package relay

import (
	"bytes"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/messages"
	"github.com/berrygate/berry/core/provider/dialect"
	"github.com/berrygate/berry/core/route"
)

// Where clients of Anthropic's API get something else than those of OpenAI's.

// asks returns the dialect in which the backend is asked, and what translates to it; nil where bytes pass as they are. For a client of
// Anthropic's API that is so at a provider that speaks it, too: it gets, with the header, which version and which betas the client speaks.
func (t *try) asks(header http.Header) (dialect.Dialect, dialect.Translator) {
	to, op := t.a.Backend.Dialect, t.x.Operation
	switch {
	case !op.Anthropic:
		translator, _ := to.(dialect.Translator)
		return to, translator
	case !to.Serves(op.Path):
		front := messages.Front(to, op.Via)
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
func (g *passage) envelope(e *core.Error) []byte {
	if g.x.Operation.Anthropic {
		return messages.Envelope(e.Status, e.Code, e.Message, g.x.ID)
	}
	return e.Envelope()
}

// reports returns the tokens that a whole answer reports.
func (g *passage) reports(answer gjson.Result) core.Usage {
	if g.x.Operation.Anthropic {
		var u messageUsage
		u.read(answer.Get("usage"))
		return u.total()
	}
	return usage(answer.Get("usage"))
}

// modelOf returns where an answer, or an event of a stream, names its model.
func (g *passage) modelOf(answer gjson.Result) gjson.Result {
	if g.x.Operation.Anthropic {
		if inner := answer.Get("message.model"); inner.Exists() {
			return inner
		}
	}
	return answer.Get("model")
}

// classify says what a provider's error means, which is in the words of the API that the client speaks.
func (t *try) classify(a *core.Answer) *core.Failure {
	if t.x.Operation.Anthropic {
		return t.judge(a.Status, a.Header, a.Body)
	}
	return route.Classify(a, time.Now())
}

// classifyError is classify for an error that stands where an answer should be, under status 200.
func (t *try) classifyError(body []byte, header http.Header) *core.Failure {
	switch {
	case t.x.Operation.Anthropic:
		return t.judge(0, header, body)
	case isResponses(t.x):
		body = t.ourID(responseEnvelope(body))
	}
	return route.ClassifyError(body, header, time.Now())
}

// judge says what an error in Anthropic's words means, which came with the status, or within an answer if that is 0. The
// client gets it as it is, or, if it is not in these words, in the gateway's.
func (t *try) judge(status int, header http.Header, body []byte) *core.Failure {
	said := messages.Refusal(status, body)
	if said.Status == 0 {
		said.Status = http.StatusInternalServerError
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	f := route.Classify(&core.Answer{Status: said.Status, Header: header, Body: said.Body}, time.Now())
	if f.Answer == nil {
		return f
	}
	if status >= 400 && said.Status != http.StatusTooManyRequests { // which some errors become that are the operator's
		f.Answer.Status = status
	}
	if f.Answer.Body = messages.Said(said.Status, said.Body, t.x.ID); messages.IsError(body) {
		f.Answer.Body = bytes.Clone(body)
	}
	return f
}
