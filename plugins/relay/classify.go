package relay

import (
	"net/http"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/responses"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/route"
)

// call returns what core/route needs to know of the attempt's call.
func (t *attemptRun) call() route.Call {
	return route.Call{Model: t.a.Backend.Upstream.Model, Kept: t.x.Passthrough != nil}
}

// classify returns the failure that a provider's error response means. A translated error has OpenAI's format, any other the client's.
func (t *attemptRun) classify(a *core.Answer) *core.Failure {
	if t.translator != nil {
		return t.inClientsFormat(route.Classify(a, t.call(), time.Now()), nil)
	}
	e := t.x.Operation.Protocol.ReadError(a.Status, a.Body)
	f := route.Classify(&core.Answer{Status: e.Status, Header: a.Header, Body: e.Body, Page: a.Page || e.Page}, t.call(), time.Now())
	if f.Answer != nil && e.Status != http.StatusTooManyRequests { // some errors that are the operator's become 429
		f.Answer.Status = a.Status
	}
	return t.inClientsFormat(f, a.Body)
}

// classifyError returns the failure that an error in the client's format means within a response of status 200, or a stream.
func (t *attemptRun) classifyError(body []byte, header http.Header) *core.Failure {
	e := t.x.Operation.Protocol.ReadError(0, body)
	if e.Status == 0 {
		return route.ClassifyError(responses.ReplaceID(e.Body, t.x.Stored), header, t.call(), time.Now())
	}
	return t.inClientsFormat(route.Classify(&core.Answer{Status: e.Status, Header: header, Body: e.Body}, t.call(), time.Now()), body)
}

// inClientsFormat gives the failure's response, if the client may receive it, the format of the client's API. original is the provider's.
func (t *attemptRun) inClientsFormat(f *core.Failure, original []byte) *core.Failure {
	a := f.Answer
	if a == nil {
		return f
	}
	a.Body = t.x.Operation.Protocol.WriteError(a.Status, a.Body, original, t.x.ID)
	if !isJSON(a.Header) && jsonx.Valid(a.Body) {
		if a.Header = a.Header.Clone(); a.Header == nil {
			a.Header = http.Header{}
		}
		a.Header.Set("Content-Type", "application/json")
	}
	return f
}
