// Package relay is the stage that gets the response: it sends the request to the backend that select chose, retries on other backends if that fails,
// and passes the response to the client, unchanged where possible.
//
// It writes nothing to the client until a backend has returned something useful. It buffers and validates a plain response; it commits a stream with
// the first event that is not an error or, for models with recover_streams, when the stream is complete. A failure after the commit is reported to
// the client. README.md shows what clients receive for each kind of failure.
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
	FirstToken   time.Duration // timeout of a stream's first event, if shorter than the attempt's; 0: none
	StreamIdle   time.Duration // timeout between a stream's events
	SocketIdle   time.Duration // timeout between a WebSocket's messages, in either direction
	MaxEvent     int           // size of an event, in bytes
	KeepAlive    time.Duration // between the heartbeats to a client whose stream is buffered
	DebugHeaders bool          // add headers that name the backend
	Budget       *Budget       // of translations; may be shared with other stages
	CaptureBytes int           // of a prompt, and of a response, that traces contain at most; 0: none
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

// Handle makes the attempt that select began and, if it fails, further ones as far as the rules allow. When it returns nil, the client has received a
// complete response, or a provider's error.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	g := &relayer{Plugin: p, x: x, to: newClient(x, p.options.StreamIdle)}
	if x.Body.Stream && x.Model.RecoverStreams && !isRealtime(x) {
		g.heartbeat = startHeartbeat(x.Writer, g.to, p.options.KeepAlive)
		defer func() {
			if g.heartbeat.end() && !x.Committed { // after a panic, the server can only close the connection
				x.Commit(http.StatusOK)
			}
		}()
	}
	for {
		a := x.Last()
		g.attempt(ctx, a)
		p.report(ctx, x, a)
		switch {
		case a.Failure == nil:
			return nil
		case x.Committed:
			return truncatedError(a.Failure)
		case x.Body.Upload.Err() != nil:
			return x.Body.Upload.Err()
		case ctx.Err() != nil || !x.Body.Upload.Detach() || !p.retry(ctx, x):
			return g.fail(ctx)
		}
	}
}

// A relayer relays one exchange.
type relayer struct {
	*Plugin
	x         *core.Exchange
	to        *client
	heartbeat *heartbeat // to the client while the stream is buffered; nil of any other
}

// report reports the attempt's outcome to stateful strategies, even if the client disconnected.
func (p *Plugin) report(ctx context.Context, x *core.Exchange, a *core.Attempt) {
	for _, s := range []core.NamedSelector{x.Model.Strategy, x.Model.Fallback, x.Model.Shadow} {
		if s.OutcomeObserver == nil {
			continue
		}
		outcome := a.Outcome(x)
		if err := s.OutcomeObserver.Learn(context.WithoutCancel(ctx), &outcome); err != nil && !errors.Is(err, core.ErrUnavailable) {
			p.log.WarnContext(ctx, "strategy failed to observe an outcome", "strategy", s.Name, "error", err, "request_id", x.ID)
		}
	}
}

// retry begins the next attempt, after the wait that the rules ask for. It reports whether there is one.
func (p *Plugin) retry(ctx context.Context, x *core.Exchange) bool {
	const tries = 3 // another exchange may take the last slot of a backend between After and Next
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
	return false
}

// sleep waits. It returns false if ctx is done first.
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
