package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/responses"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// Limits of what is held in memory, in bytes.
const (
	holdLimit    = 8 << 20 // of a plain answer, or of a stream that is held back
	refusalLimit = 1 << 20 // of a provider's error
)

// What cancels an attempt.
var (
	errSilent = errors.New("no answer within the time limit")
	errLate   = errors.New("no answer before the request's deadline")
)

var (
	errNotPlain = errors.New("the answer is a stream, which was not asked for")
	errHeader   = errors.New("the answer's header is too large")
)

// A attemptRun is one attempt while it runs.
type attemptRun struct {
	*relayer
	a        *core.Attempt
	notes    *attemptSpan
	buffers  eventBuffers
	ctx      context.Context // the exchange's, cancelled when a limit passes
	out      context.Context // the exchange's: done when the client leaves, or when the gateway must end
	limit    attemptTimer    // until the backend answers
	deadline *time.Timer     // until the commit; nil is none
	idle     idleTimer       // of a stream, or of an answer that follows its beginning
	answered bool            // usefully: from now on the limit is that of silence

	translator adapter.ResponseTranslator // of a backend that does not speak the client's API; nil of one that does

	seen api.Stream // of the response; nil until there is one
}

// runAttempt makes one attempt and returns why it failed, or nil.
func (g *relayer) runAttempt(ctx context.Context, a *core.Attempt, n *attemptSpan) *core.Failure {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := a.Backend.Timeout
	if first := g.options.FirstToken; g.x.Body.Stream && first > 0 {
		limit = min(limit, first)
	}
	passed := func() { cancel(errSilent) }
	t := &attemptRun{
		relayer: g, a: a, notes: n, ctx: inner, out: ctx,
		idle: idleTimer{limit: g.options.StreamIdle, onTimeout: passed},
	}
	if u := g.x.Body.Upload; u != nil {
		defer context.AfterFunc(inner, func() {
			if !errors.Is(context.Cause(inner), context.Canceled) { // if the client has left, whoever waits for it knows
				u.Interrupt()
			}
		})()
	}
	t.limit.start(limit, passed)
	defer t.limit.Stop()
	defer t.idle.stop()
	if !g.x.Deadline.IsZero() {
		t.deadline = time.AfterFunc(time.Until(g.x.Deadline), func() { cancel(errLate) })
		defer t.deadline.Stop()
	}
	return t.run()
}

// inTime ends the deadline. It returns false if that has passed.
func (t *attemptRun) inTime() bool { return t.deadline == nil || t.deadline.Stop() }

// answers records that the backend answers usefully.
func (t *attemptRun) answers() {
	t.answered = true
	t.a.Waited = t.limit.stood()
	t.a.Commit(time.Now())
}

func (t *attemptRun) run() *core.Failure {
	request, err := t.request()
	if err != nil && t.ctx.Err() != nil {
		return t.broken(err)
	}
	if err != nil {
		return t.untranslatable(err)
	}
	if isRealtime(t.x) {
		return t.proxyWebSocket(request)
	}
	response, err := t.a.Backend.Upstream.Provider.Transport.RoundTrip(request)
	if err != nil {
		return t.broken(err)
	}
	t.a.Status = response.StatusCode
	err = decode(response)
	defer response.Body.Close()
	switch {
	case response.StatusCode < 200, response.StatusCode > 599, response.StatusCode == http.StatusPartialContent: // 101: the body would be the bare connection, which nothing ends
		return invalidResponse(fmt.Errorf("status %d", response.StatusCode))
	case err != nil:
		return t.undecodable(response)
	case response.StatusCode > 299:
		return t.refused(response)
	case t.wantsStream() && isStream(response):
		return t.stream(response)
	case contentType(response.Header) == "text/event-stream":
		return invalidResponse(errNotPlain)
	case t.x.Operation.Media && (t.x.Passthrough != nil || !isJSON(response.Header)):
		return t.media(response)
	default:
		return t.plain(response)
	}
}

// request is the client's request, directed to the backend, and in its words. In OpenAI's, only the model's value differs. It
// is built by hand, so that net/http's transport does not send a request again which a provider may have processed (see upstream's
// connections, and leaveBodyOut). It fails if the backend has no words for it.
func (t *attemptRun) request() (*http.Request, error) {
	call := adapter.Call{
		ID: t.x.ID, Path: t.x.Operation.Path, Model: t.a.Backend.Upstream.Model, Stream: t.x.Body.Stream, Began: t.a.Began,
	}
	r := &http.Request{
		Method: t.x.Request.Method, Header: requestHeader(t.x.Request.Header, t.x.UserID(), t.x.ID), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	to, translator := t.x.Operation.Protocol.Target(t.a.Backend.Adapter, t.x.Operation.Path)
	if translator == nil {
		t.passHeaders(r.Header)
	}
	if on := t.x.Passthrough; on != nil {
		call.Path = on.Path
		leaveBodyOut(r)
		delete(r.Header, "Content-Type") // some servers want a body where there is one
	}
	if u := t.x.Body.Upload; u != nil {
		if err := u.Send(r, call.Model, t.limit.stand); err != nil {
			return nil, err
		}
	} else if t.x.Passthrough == nil {
		if err := t.say(r, call, translator); err != nil {
			return nil, err
		}
	}
	to.SetTarget(r, call)
	if on := t.x.Passthrough; on != nil {
		addQuery(r.URL, on.Query)
	}
	core.Propagate(t.ctx, r.Header)
	t.notes.sent(r)
	return r.WithContext(t.ctx), nil
}

// passHeaders adds those of the client's headers that belong to its API, such as the version and the betas of Anthropic's.
func (t *attemptRun) passHeaders(h http.Header) {
	for _, name := range t.x.Operation.Protocol.Headers() {
		if values := t.x.Request.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
}

// say gives r the body that the backend gets of the client's JSON. translator may be nil.
func (t *attemptRun) say(r *http.Request, call adapter.Call, translator adapter.Translator) error {
	if translator != nil {
		end, err := t.takeTurn()
		if err != nil {
			return err
		}
		body, answer, err := translator.Translate(t.ctx, call, t.x.Body.Bytes)
		end()
		if err != nil {
			return err
		}
		t.translator = budgeted{answer, t}
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	} else {
		quoted := t.a.Backend.ModelJSON
		r.GetBody = func() (io.ReadCloser, error) {
			body, _ := t.x.Body.WithModel(quoted)
			return body, nil
		}
		r.Body, r.ContentLength = t.x.Body.WithModel(quoted)
		return nil
	}
	r.Body, _ = r.GetBody() // it does not fail
	return nil
}

// clientLeft is the failure of nobody: the client left before it had its whole answer, or the gateway must end.
func clientLeft(err error) *core.Failure {
	return &core.Failure{Result: abi.ClientCancelled, Err: err}
}

// invalidResponse is the failure of a provider that answered, but nothing that a client could use. What it answers depends on the request and
// on how the provider is set up, so it would answer in the same way again. Nothing at all it may answer in a bad moment.
func invalidResponse(err error) *core.Failure {
	return &core.Failure{Result: abi.ServerError, Retryable: true, NoRepeat: !errors.Is(err, errEmpty), Err: err}
}

// broken says what an error of the connection means.
func (t *attemptRun) broken(err error) *core.Failure {
	cause := context.Cause(t.ctx)
	switch {
	case errors.Is(cause, errLate): // first, since Upload.Wake looks like the client's leaving to net/http
		return t.deadlinePassed()
	case t.out.Err() != nil:
		return clientLeft(context.Cause(t.out))
	case t.x.Body.Upload.Err() != nil:
		return clientLeft(t.x.Body.Upload.Err())
	case errors.Is(cause, errSilent) || errors.Is(err, errSilent):
		return &core.Failure{Result: abi.TimedOut, Retryable: true, Doubtful: true, Err: errSilent}
	}
	if isHeaderTooLarge(err) {
		return &core.Failure{Result: abi.ConnectFailed, Retryable: true, NoRepeat: true, Err: errHeader}
	}
	f := &core.Failure{Result: abi.ConnectFailed, Retryable: true, Reset: isReset(err), Err: route.Broken(err)}
	if !f.Reset {
		f.Scope = upstream.ScopeHost
	}
	return f
}

// isHeaderTooLarge tells whether net/http gave the answer up for the size of its header, be it that of many informational ones. It
// has no types for these errors.
func isHeaderTooLarge(err error) bool {
	return strings.Contains(err.Error(), "server response headers exceeded") || strings.Contains(err.Error(), "response header list larger than")
}

// deadlinePassed is the failure of an attempt that the exchange's deadline has ended. It counts against a backend that had all of the
// operator's time, without a client whose upload took some of it.
func (t *attemptRun) deadlinePassed() *core.Failure {
	if t.x.ClientDeadline || t.a.Number > 0 || t.x.Body.Upload.Consumed() {
		return &core.Failure{Result: abi.ClientCancelled, Err: errLate}
	}
	return &core.Failure{Result: abi.TimedOut, Doubtful: true, Err: errLate}
}

// clientWriteFailed says what it means that the client could not be sent its answer.
func (t *attemptRun) clientWriteFailed(err error) *core.Failure {
	if errors.Is(err, errLate) {
		return t.deadlinePassed()
	}
	return clientLeft(err)
}

// isReset tells whether the connection stood when it broke: it was dialled, and agreed on TLS. (HTTP/2's resets are of
// types that net/http keeps private, so this is told from what they are not.)
func isReset(err error) bool {
	var (
		op          *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "remote error" || op.Op == "local error") {
		return false
	}
	return !errors.As(err, &certificate) && !errors.As(err, &record) && !errors.As(err, &alert)
}

// pausing reads an answer: at first under the attempt's own time limit, once it has answered under that of silence, whose clock
// runs while the provider is waited for, not while the client reads.
type pausing struct {
	*attemptRun
	src io.Reader
	err error // of the source, to tell it from one of the client's
}

func (p *pausing) Read(b []byte) (int, error) {
	answered := p.answered
	if answered {
		p.idle.begin()
	}
	n, err := p.src.Read(b)
	if answered {
		p.idle.end()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// refused reads a provider's error.
func (t *attemptRun) refused(response *http.Response) *core.Failure {
	body, err := io.ReadAll(io.LimitReader(response.Body, refusalLimit+1))
	if err != nil {
		if f := t.broken(err); f.Result != abi.ConnectFailed {
			return f
		}
	}
	f := t.classify(t.refusal(response, responses.ReplaceID(body, t.x.Stored)))
	if err != nil && !f.Retryable { // what is missing may have said whose fault it is
		return t.truncated(err)
	}
	if err != nil || len(body) > refusalLimit || response.StatusCode < 400 {
		f.Answer = nil // not whole, or a redirect, which is not the client's to follow
	}
	f.NoRepeat = f.NoRepeat || response.StatusCode < 400
	return f
}
