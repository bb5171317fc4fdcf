// Package relay is the stage that gets the answer: it sends the request to the backend that select chose, moves on when
// that fails, and passes what comes to the client without changing what need not change.
//
// Nothing is written to the client until a backend has answered usefully: a plain answer is held and checked, a stream is
// committed at its first event that is no error. After that, what goes wrong is told, never glossed over.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// Options are the relay's limits.
type Options struct {
	Rules        route.Rules
	Health       upstream.Policy
	FirstToken   time.Duration // of a stream's first event, if shorter than the attempt's own limit; 0 is none
	StreamIdle   time.Duration // of silence within a stream
	DebugHeaders bool          // tell the client who answered
}

// Plugin is the stage "relay".
type Plugin struct {
	options Options
	log     *slog.Logger
	readers sync.Pool // of *sse.Reader
}

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage.
func New(o Options, log *slog.Logger) *Plugin { return &Plugin{options: o, log: log} }

// Handle makes the attempt that select began and, while the rules allow it, those that follow its failure. Nothing has been
// written to the client when Handle is called; when it returns nil, the client has a whole answer or a provider's refusal.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	for {
		a := x.Last()
		a.Failure = p.attempt(ctx, x, a)
		a.End(time.Now(), p.options.Health)
		p.tell(ctx, x, a)
		switch {
		case a.Failure == nil:
			return nil
		case a.Failure.Result == abi.ClientCancelled:
			return core.ClientGone(a.Failure.Err)
		case x.Committed:
			return streamError(a.Failure)
		case !p.again(ctx, x):
			return p.verdict(ctx, x)
		}
	}
}

// tell lets stateful strategies learn how the attempt ended. They learn of clients that have left, too.
func (p *Plugin) tell(ctx context.Context, x *core.Exchange, a *core.Attempt) {
	for _, s := range []core.Picker{x.Model.Strategy, x.Model.Fallback} {
		if s.Learner == nil {
			continue
		}
		outcome := a.Outcome(x)
		if err := s.Learner.Learn(context.WithoutCancel(ctx), &outcome); err != nil && !errors.Is(err, core.ErrUnavailable) {
			p.log.WarnContext(ctx, "strategy cannot learn", "strategy", s.Name, "error", err, "request_id", x.ID)
		}
	}
}

// again begins the attempt that follows the failed last one, after the wait that the rules ask for. It returns false if
// there is none.
func (p *Plugin) again(ctx context.Context, x *core.Exchange) bool {
	const tries = 3 // whom the rules name, another exchange may take in the same moment; then they are asked again
	for range tries {
		step, ok := p.options.Rules.After(x, time.Now(), rand.Uint64())
		if !ok || !sleep(ctx, step.Wait) {
			return false
		}
		switch _, err := route.Next(ctx, x, step.Among, time.Now(), rand.Uint64()); {
		case err == nil:
			return true
		case errors.Is(err, route.ErrNone):
			return false
		}
	}
	return false // the last failure says why
}

// sleep waits and returns false if ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// verdict ends an exchange that no attempt could answer: with a refusal that is the request's own fault; else with the
// latest 429 or 5xx that a provider explained in JSON; else with an error of the gateway's own.
func (p *Plugin) verdict(ctx context.Context, x *core.Exchange) error {
	if ctx.Err() != nil {
		return core.ClientGone(context.Cause(ctx))
	}
	last := x.Last()
	if !last.Failure.Retryable && last.Failure.Answer != nil {
		return p.refuse(x, last)
	}
	var causes []error
	var explained *core.Attempt
	for _, a := range x.Attempts {
		causes = append(causes, fmt.Errorf("%s/%s: %w", a.Backend.Upstream.Provider.ID, a.Backend.Upstream.Model, a.Failure.Err))
		if answer := a.Failure.Answer; answer != nil && (answer.Status == http.StatusTooManyRequests || answer.Status >= 500) && core.ValidJSON(answer.Body) {
			explained = a
		}
	}
	e := upstreamError(last.Failure)
	e.Cause = errors.Join(causes...)
	if explained == nil {
		p.debug(x, last)
		return e
	}
	if err := p.refuse(x, explained); err != nil {
		return err
	}
	return e // the client has the provider's words; this is for the log
}

// refuse passes a provider's own error on, as it is.
func (p *Plugin) refuse(x *core.Exchange, a *core.Attempt) error {
	answer := a.Failure.Answer
	p.commit(x, a, answer.Status, answer.Header, int64(len(answer.Body)))
	if _, err := newClient(x.Writer, 0).Write(answer.Body); err != nil {
		return core.ClientGone(err)
	}
	return nil
}

// commit writes the head of the attempt's answer to the client. From now on x.Committed is true.
func (p *Plugin) commit(x *core.Exchange, a *core.Attempt, status int, from http.Header, length int64) {
	copyAnswerHeader(x.Writer.Header(), from)
	if length >= 0 {
		setLength(x.Writer.Header(), length)
	}
	p.debug(x, a)
	x.Committed, x.Status = true, status
	x.Writer.WriteHeader(status)
}

// upstreamError is what the client is told when no provider's answer can be passed on.
func upstreamError(f *core.Failure) *core.Error {
	if f.Result == abi.TimedOut {
		return &core.Error{
			Status: http.StatusGatewayTimeout, Type: core.TypeUpstream, Code: core.CodeUpstreamTimeout, Cause: f.Err,
			Message: "No provider answered in time; try again, or ask for less.",
		}
	}
	return &core.Error{
		Status: http.StatusBadGateway, Type: core.TypeUpstream, Code: core.CodeUpstreamError, Cause: f.Err,
		Message: "No provider could answer; try again later.",
	}
}

// streamError is upstreamError for an answer that had begun.
func streamError(f *core.Failure) *core.Error {
	e := upstreamError(f)
	e.Message = "The provider's answer broke off; what came before this is incomplete."
	return e
}
