package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/responses"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/sdk/abi"
)

// Limits of what is buffered, in bytes.
const (
	holdLimit    = 8 << 20 // of a plain response, or of a buffered stream
	refusalLimit = 1 << 20 // of a provider's error
)

// The causes with which an attempt is cancelled.
var (
	errSilent = errors.New("no answer within the time limit")
	errLate   = errors.New("no answer before the request's deadline")
)

var (
	errNotPlain = errors.New("the answer is a stream, which was not asked for")
	errHeader   = errors.New("the answer's header is too large")
)

// An attemptRun is one attempt while it runs.
type attemptRun struct {
	*relayer
	a        *core.Attempt
	notes    *attemptSpan
	buffers  eventBuffers
	ctx      context.Context // the exchange's; cancelled at a timeout, too
	out      context.Context // the exchange's: done when the client disconnects or a shutdown's grace period ends
	limit    attemptTimer    // until the backend responds
	deadline *time.Timer     // until the commit; nil: none
	idle     idleTimer       // of a response that has begun
	answered bool            // the backend has responded with something useful; from now on the idle timer counts

	translator adapter.ResponseTranslator // nil if the backend has the client's API
	seen       api.Stream                 // the response's parser; nil before a stream begins
}

// runAttempt makes one attempt and returns its failure; nil if it succeeded.
func (g *relayer) runAttempt(ctx context.Context, a *core.Attempt, n *attemptSpan) *core.Failure {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := a.Backend.Timeout
	if first := g.options.FirstToken; g.x.Body.Stream && first > 0 {
		limit = min(limit, first)
	}
	onTimeout := func() { cancel(errSilent) }
	t := &attemptRun{
		relayer: g, a: a, notes: n, ctx: inner, out: ctx,
		idle: idleTimer{limit: g.options.StreamIdle, onTimeout: onTimeout},
	}
	if u := g.x.Body.Upload; u != nil {
		defer context.AfterFunc(inner, func() {
			if !errors.Is(context.Cause(inner), context.Canceled) { // a client that disconnects interrupts its upload itself
				u.Interrupt()
			}
		})()
	}
	t.limit.start(limit, onTimeout)
	defer t.limit.Stop()
	defer t.idle.stop()
	if !g.x.Deadline.IsZero() {
		t.deadline = time.AfterFunc(time.Until(g.x.Deadline), func() { cancel(errLate) })
		defer t.deadline.Stop()
	}
	return t.run()
}

// inTime stops the deadline's timer. It reports whether the deadline had not passed.
func (t *attemptRun) inTime() bool { return t.deadline == nil || t.deadline.Stop() }

// answers records that the backend has responded with something useful.
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
	case response.StatusCode < 200, response.StatusCode > 599, response.StatusCode == http.StatusPartialContent: // of a 101, the body is the bare connection; nobody asked for a 206
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

// An idleReader reads a response. Once the backend has responded, the idle timer runs while a read waits for the provider, but not while the client
// is written to.
type idleReader struct {
	*attemptRun
	src io.Reader
	err error // of src, to tell it from one of the client
}

// Read implements io.Reader.

func (p *idleReader) Read(b []byte) (int, error) {
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

// refused reads and classifies a provider's error response.
func (t *attemptRun) refused(response *http.Response) *core.Failure {
	body, err := io.ReadAll(io.LimitReader(response.Body, refusalLimit+1))
	if err != nil {
		if f := t.broken(err); f.Result != abi.ConnectFailed {
			return f
		}
	}
	f := t.classify(t.refusal(response, responses.ReplaceID(body, t.x.Stored)))
	if err != nil && !f.Retryable { // the missing part may contain the reason
		return t.truncated(err)
	}
	if err != nil || len(body) > refusalLimit || response.StatusCode < 400 {
		f.Answer = nil // truncated, or a redirect, which the client must not follow
	}
	f.NoRepeat = f.NoRepeat || response.StatusCode < 400
	return f
}
