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

// fail ends an exchange whose attempts all failed. It writes the response if a provider's error is to be passed on, or if the client's
// stream has begun; else the server writes the returned error.
func (g *relayer) fail(ctx context.Context) error {
	explained, e := g.finalOutcome(ctx)
	begun := g.heartbeat.end()
	switch {
	case e.Status == apierror.StatusClientGone:
		return e
	case begun:
		g.x.Commit(http.StatusOK)
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
		return nil // the request's own fault is not an error of the gateway
	}
	return e // for the log; the client has received the provider's error
}

// typeOf returns the media type of an error response that has none, or one that is not safe.
func typeOf(body []byte) string {
	if jsonx.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// finalOutcome returns the response to an exchange whose attempts all failed: the provider's error if it is the request's own fault; else the
// latest 429 or 5xx with a JSON body; else only the gateway's own error, e, which is always set.
func (g *relayer) finalOutcome(ctx context.Context) (explained *core.Attempt, e *apierror.Error) {
	if ctx.Err() != nil && !errors.Is(g.x.Last().Failure.Err, errLate) {
		return nil, apierror.Interrupted(context.Cause(ctx))
	}
	last, asked := g.x.Last(), 0 // attempts that sent a request
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

// finalError returns the gateway's own error: the one that all attempts have in common, if the same request can never succeed; else one that
// suggests to retry.
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

// commit writes the status and headers of the attempt's response, unless the client has received a stream's already. From then on,
// x.Committed is true.
func (g *relayer) commit(a *core.Attempt, status int, from http.Header, length int64) {
	begun := g.heartbeat.end()
	g.x.Commit(status)
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

// upstreamError returns the gateway's error for a failure whose response cannot be passed on.
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

// truncatedError returns the gateway's error for a response that broke off.
func truncatedError(f *core.Failure) *apierror.Error {
	e, why := upstreamError(f), "The provider's answer broke off"
	if f.Result == abi.ClientCancelled {
		e, why = apierror.Interrupted(f.Err), "The gateway is shutting down"
	}
	e.Message = why + "; what came before this is incomplete."
	return e
}

// failureEvent returns the event that ends a stream which has begun with heartbeats only: the provider's error if its format is known, else
// the gateway's.
func (g *relayer) failureEvent(explained *core.Attempt, e *apierror.Error) []byte {
	stream := g.x.Operation.Protocol.NewStream(api.StreamOptions{})
	if explained != nil && jsonx.Valid(explained.Failure.Answer.Body) && openai.HasError(explained.Failure.Answer.Body) {
		var line bytes.Buffer // an event's data must be one line
		if json.Compact(&line, explained.Failure.Answer.Body) == nil {
			return stream.ErrorEvent(line.Bytes())
		}
	}
	return stream.ErrorEvent(g.x.Operation.Protocol.ErrorBody(e, g.x.ID))
}

// truncatedEvent returns the event that ends a truncated stream.
func (t *attemptRun) truncatedEvent(f *core.Failure) []byte {
	return t.seen.ErrorEvent(t.x.Operation.Protocol.ErrorBody(truncatedError(f), t.x.ID))
}
