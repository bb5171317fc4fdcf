package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/openai"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/sdk/abi"
)

// fail ends an exchange that no attempt could answer. The client is told here if there is a provider's own answer for it, or
// if its stream has begun; else by the server, which writes the error.
func (g *relayer) fail(ctx context.Context) error {
	explained, e := g.verdict(ctx)
	begun := g.heartbeat.end()
	switch {
	case e.Status == apierror.StatusClientGone:
		return e
	case begun:
		g.x.Committed, g.x.Status = true, http.StatusOK
		if err := g.to.Send(g.failureEvent(explained, e)); err != nil {
			return apierror.ClientGone(err)
		}
		return e
	case explained == nil:
		g.debug(g.x, g.x.Last())
		return e
	}
	answer := explained.Failure.Answer
	if !isSafe(contentType(answer.Header)) {
		answer.Header.Set("Content-Type", typeOf(answer.Body))
	}
	g.commit(explained, answer.Status, answer.Header, int64(len(answer.Body)))
	if _, err := g.to.Write(answer.Body); err != nil {
		return apierror.ClientGone(err)
	}
	if !explained.Failure.Retryable {
		return nil // it was the request's own fault
	}
	return e // the client has the provider's words; this is for the log
}

// typeOf returns the media type of an error response that has none, or one that is not safe.
func typeOf(body []byte) string {
	if jsonx.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// verdict says what the client is told when no attempt could answer: a refusal that is the request's own fault; else the
// latest 429 or 5xx that a provider explained in JSON; else an error of the gateway's own. The latter is always returned, the
// attempt whose words the client gets only if there is one.
func (g *relayer) verdict(ctx context.Context) (explained *core.Attempt, e *apierror.Error) {
	if ctx.Err() != nil && !errors.Is(g.x.Last().Failure.Err, errLate) {
		return nil, apierror.Interrupted(context.Cause(ctx))
	}
	last, asked := g.x.Last(), 0 // how many were asked at all
	var causes []error
	for _, a := range g.x.Attempts {
		if !a.Failure.Untranslatable {
			asked++
		}
		causes = append(causes, fmt.Errorf("%s/%s: %w", a.Backend.Upstream.Provider.ID, a.Backend.Upstream.Model, a.Failure.Err))
		if answer := a.Failure.Answer; answer != nil && (answer.Status == http.StatusTooManyRequests || answer.Status >= 500) && jsonx.Valid(answer.Body) {
			explained = a
		}
	}
	e = g.finalError()
	e.Cause = errors.Join(causes...)
	switch {
	case errors.Is(last.Failure.Err, errLate):
		return nil, e
	case !last.Failure.Retryable && last.Failure.Answer != nil && (!last.Failure.Untranslatable || asked == 0):
		return last, e
	default:
		return explained, e
	}
}

// finalError returns what the client is told by the gateway itself: what its attempts' failures have in common, if they say that the
// same request will never succeed, else that it may later.
func (g *relayer) finalError() *apierror.Error {
	var common *apierror.Error
	for _, a := range g.x.Attempts {
		if a.Failure.Untranslatable && a.Failure.ClientError == nil {
			continue
		}
		if common = a.Failure.ClientError; common == nil {
			break
		}
	}
	return cmp.Or(common, upstreamError(g.x.Last().Failure))
}

// commit writes the head of the attempt's answer to the client, unless it has got that of a stream already. From now on
// x.Committed is true.
func (g *relayer) commit(a *core.Attempt, status int, from http.Header, length int64) {
	begun := g.heartbeat.end()
	g.x.Committed, g.x.Status = true, status
	if begun {
		return
	}
	if u := g.x.Body.Upload; u != nil && u.Complete() {
		g.x.Writer.Header().Del("Connection")
	}
	copyResponseHeader(g.x.Writer.Header(), from, a.Backend)
	if length >= 0 {
		setLength(g.x.Writer.Header(), length)
	}
	g.debug(g.x, a)
	g.x.Writer.WriteHeader(status)
}

// upstreamError is what the client is told when no provider's answer can be passed on.
func upstreamError(f *core.Failure) *apierror.Error {
	switch {
	case errors.Is(f.Err, errLate):
		return &apierror.Error{
			Status: http.StatusGatewayTimeout, Type: apierror.TypeUpstream, Code: apierror.CodeUpstreamTimeout, Cause: f.Err,
			Message: "No provider answered within the time that this request has in all; allow more in X-Request-Timeout, if you set it, or ask for less.",
		}
	case f.Result == abi.TimedOut:
		return &apierror.Error{
			Status: http.StatusGatewayTimeout, Type: apierror.TypeUpstream, Code: apierror.CodeUpstreamTimeout, Cause: f.Err,
			Message: "No provider answered in time; try again, or ask for less.",
		}
	default:
		return &apierror.Error{
			Status: http.StatusBadGateway, Type: apierror.TypeUpstream, Code: apierror.CodeUpstreamError, Cause: f.Err,
			Message: "No provider could answer; try again later.",
		}
	}
}

// truncatedError is upstreamError for an answer that had begun.
func truncatedError(f *core.Failure) *apierror.Error {
	e, why := upstreamError(f), "The provider's answer broke off"
	if f.Result == abi.ClientCancelled {
		e, why = apierror.Interrupted(f.Err), "The gateway is shutting down"
	}
	e.Message = why + "; what came before this is incomplete."
	return e
}

// failureEvent tells the client of a stream that has begun, but had nothing to say yet, why it ends: in the provider's words if
// clients will know them for an error, else in the gateway's.
func (g *relayer) failureEvent(explained *core.Attempt, e *apierror.Error) []byte {
	stream := g.x.Operation.Protocol.NewStream(api.StreamOptions{})
	if explained != nil && jsonx.Valid(explained.Failure.Answer.Body) && openai.HasError(explained.Failure.Answer.Body) {
		var line bytes.Buffer // an event's data must not break
		if json.Compact(&line, explained.Failure.Answer.Body) == nil {
			return stream.ErrorEvent(line.Bytes())
		}
	}
	return stream.ErrorEvent(g.x.Operation.Protocol.ErrorBody(e, g.x.ID))
}

// truncatedEvent returns the event that tells the client of a stream why it is not whole.
func (t *attemptRun) truncatedEvent(f *core.Failure) []byte {
	return t.seen.ErrorEvent(t.x.Operation.Protocol.ErrorBody(truncatedError(f), t.x.ID))
}
