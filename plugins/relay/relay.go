// Package relay is the stage that gets the answer: it sends the request to the backend that select chose, moves on when
// that fails, and passes what comes to the client without changing what need not change.
//
// Nothing is written to the client until a backend has answered usefully: a plain answer is held and checked, a stream is
// committed at its first event that is no error, or, for models that ask for it, when it is whole. After that, what goes wrong
// is told, never glossed over. README.md shows what a client gets of each kind of failure.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/upstream"
)

// Options are the relay's limits.
type Options struct {
	Rules        route.Rules
	Health       upstream.Policy
	FirstToken   time.Duration // of a stream's first event, if shorter than the attempt's own limit; 0 is none
	StreamIdle   time.Duration // of silence within a stream
	SocketIdle   time.Duration // without a message in either direction of a WebSocket
	MaxEvent     int           // of a stream's one event, in bytes
	KeepAlive    time.Duration // between the comments for a client whose stream is held back
	DebugHeaders bool          // tell the client who answered
	Budget       *Budget       // of translations; it may be shared with other stages
	CaptureBytes int           // of a prompt and of an answer, at most, are put into traces; 0 is nothing of them
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
	g := &relayer{Plugin: p, x: x, to: newClient(x, p.options.StreamIdle)}
	if x.Body.Stream && x.Model.RecoverStreams && !isRealtime(x) {
		g.heartbeat = startHeartbeat(x.Writer, g.to, p.options.KeepAlive)
		defer func() {
			if g.heartbeat.end() && !x.Committed { // a panic: all that can still be done is to break the connection off
				x.Committed, x.Status = true, http.StatusOK
			}
		}()
	}
	for {
		a := x.Last()
		g.attempt(ctx, a)
		p.tell(ctx, x, a)
		switch {
		case a.Failure == nil:
			return nil
		case x.Committed:
			return truncatedError(a.Failure)
		case x.Body.Upload.Err() != nil:
			return x.Body.Upload.Err()
		case ctx.Err() != nil || !x.Body.Upload.Detach() || !p.again(ctx, x):
			return g.fail(ctx)
		}
	}
}

// A relayer is one exchange's way through the stage.
type relayer struct {
	*Plugin
	x         *core.Exchange
	to        *client
	heartbeat *heartbeat // with the client of a stream that is held back until it is whole; nil of any other
}

// tell lets stateful strategies learn how the attempt ended. They learn of clients that have left, too.
func (p *Plugin) tell(ctx context.Context, x *core.Exchange, a *core.Attempt) {
	for _, s := range []core.NamedSelector{x.Model.Strategy, x.Model.Fallback, x.Model.Shadow} {
		if s.OutcomeObserver == nil {
			continue
		}
		outcome := a.Outcome(x)
		if err := s.OutcomeObserver.Learn(context.WithoutCancel(ctx), &outcome); err != nil && !errors.Is(err, core.ErrUnavailable) {
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
		span := x.Trace.Begin(semconv.SpanSelect, trace.SpanKindInternal)
		_, err := route.Next(ctx, x, step.Among, time.Now(), rand.Uint64())
		core.EndSpan(span, err, time.Now())
		switch {
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
