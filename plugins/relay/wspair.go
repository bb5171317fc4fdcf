package relay

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/realtime"
	"github.com/berrygate/berry/core/jsonx"
)

// A wsPair is the client's WebSocket and the provider's, and the state of the messages between them.
type wsPair struct {
	*attemptRun
	guard    realtime.Guard
	down, up *socket
	usage    api.Usage    // of all responses so far
	heard    atomic.Int64 // time of the last message, in Unix ns
}

// A socket is one side of the pair.
type socket struct {
	*websocket.Conn
	waits atomic.Bool // its reader is writing to the other side
}

// An ending is the end of a session: the close code for each side, and the attempt's failure.
type ending struct {
	down, up websocket.StatusCode // 0: the side is gone
	reason   string
	word     []byte // the last message to the client; nil: none
	failure  *core.Failure
}

func newSockets(t *attemptRun, down, up *websocket.Conn) *wsPair {
	guard := realtime.Guard{Client: t.x.Model.Name, Provider: t.a.Backend.Upstream.Model, Transcribes: transcribes(t.x)}
	if u := t.x.User; !u.MayAll() {
		guard.Others = func(model string) bool { return model == guard.Client || model == guard.Provider || u.May(model) }
	}
	return &wsPair{attemptRun: t, down: &socket{Conn: down}, up: &socket{Conn: up}, guard: guard}
}

// run passes first, and then messages in both directions, until one side closes or out is done. When it returns, both sides are closed and
// its goroutines have ended.
func (s *wsPair) run(out context.Context, kind websocket.MessageType, first []byte) *core.Failure {
	ctx, cancel := context.WithCancel(context.WithoutCancel(out)) // a close handshake needs the readers
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	s.heard.Store(time.Now().UnixNano())
	ended := make(chan ending, 3)
	working.Go(func() {
		if s.write(ctx, s.down, kind, s.toClient(first)) == nil {
			s.pass(ctx, s.up, s.down, s.fromProvider, ended)
		}
	})
	working.Go(func() { s.pass(ctx, s.down, s.up, s.fromClient, ended) })
	working.Go(func() { s.keepAlive(ctx, ended) })
	var e ending
	select {
	case e = <-ended:
	case <-out.Done():
		const away = websocket.StatusGoingAway
		e = ending{down: away, up: away, failure: clientLeft(context.Cause(out))}
	}
	s.close(ctx, e)
	return e.failure
}

// pass reads the messages of one side until it closes, and sends the ending. convert returns what the other side receives of each; nil:
// nothing.
func (s *wsPair) pass(ctx context.Context, from, to *socket, convert func(context.Context, []byte) []byte, ended chan<- ending) {
	for {
		kind, message, err := from.Read(ctx)
		if err != nil {
			if from == s.up {
				ended <- s.providerEnded(err)
			} else {
				ended <- s.clientEnded(err)
			}
			return
		}
		s.heard.Store(time.Now().UnixNano())
		if message = convert(ctx, message); message == nil {
			continue
		}
		from.waits.Store(true)
		err = s.write(ctx, to, kind, message)
		from.waits.Store(false)
		if err != nil {
			return // its own reader reports the close
		}
	}
}

// write writes a message. It times out if the side reads nothing for the stream's idle timeout.
func (s *wsPair) write(ctx context.Context, to *socket, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.StreamIdle)
	defer cancel()
	return to.Write(ctx, kind, message)
}

// fromClient returns the provider's form of a client's message. If the message is rejected, it sends the client an error and returns nil.
func (s *wsPair) fromClient(ctx context.Context, message []byte) []byte {
	out, refused := s.guard.Check(message)
	if refused == nil {
		return out
	}
	_ = s.write(ctx, s.down, websocket.MessageText, realtime.ErrorEvent(refused, message)) // if this fails, the client's reader does, too
	return nil
}

func (s *wsPair) fromProvider(_ context.Context, message []byte) []byte { return s.toClient(message) }

// toClient returns the client's form of a provider's message, and counts its tokens.
func (s *wsPair) toClient(message []byte) []byte {
	if s.a.Backend.ContainsSecret(message) {
		return realtime.ErrorEvent(upstreamError(invalidResponse(errReported)), nil)
	}
	if !jsonx.Valid(message) {
		s.a.Dropped++
		return nil
	}
	event := jsonx.View(message)
	if event.Get("type").Str == "response.done" {
		used := api.ReadUsage(event.Get("response.usage"))
		s.usage.InputTokens, s.usage.OutputTokens = plus(s.usage.InputTokens, used.InputTokens), plus(s.usage.OutputTokens, used.OutputTokens)
	}
	if message, ok := realtime.HideRefusedKey(message, upstreamError(invalidResponse(errReported))); ok {
		return message
	}
	if model := event.Get("session.model"); s.x.Model.OwnName && model.Type == gjson.String {
		return jsonx.Apply(message, []jsonx.Edit{{Value: model, Text: s.x.Model.Name}})
	}
	return message
}

// plus adds tokens without overflow.
func plus(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxInt32)) }

// clientEnded returns the ending after the client's side closed.
func (s *wsPair) clientEnded(err error) ending {
	switch code := websocket.CloseStatus(err); {
	case code > 0:
		return ending{up: code, reason: reasonOf(err)}
	case errors.Is(err, websocket.ErrMessageTooBig):
		return ending{down: websocket.StatusMessageTooBig, up: websocket.StatusGoingAway, failure: clientLeft(websocket.ErrMessageTooBig)}
	default:
		return ending{up: websocket.StatusGoingAway, failure: clientLeft(err)}
	}
}

// providerEnded returns the ending after the provider's side closed. If the connection broke, the client receives an error event.
func (s *wsPair) providerEnded(err error) ending {
	code := websocket.CloseStatus(err)
	if code > 0 && code != closedUnauthorized {
		e := ending{down: code, reason: reasonOf(err)}
		if s.a.Backend.ContainsSecret([]byte(e.reason)) {
			e.reason = ""
		}
		if brokenSocket(code) {
			e.failure = s.brokeSocket(err)
		}
		return e
	}
	e := ending{down: websocket.StatusBadGateway, failure: s.brokeSocket(err)}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		e.up = websocket.StatusMessageTooBig
	}
	e.word = realtime.ErrorEvent(truncatedError(e.failure), nil)
	return e
}

// reasonOf returns the reason of a close.
func reasonOf(err error) string {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// keepAlive pings both sides now and then, and ends a session without messages.
func (s *wsPair) keepAlive(ctx context.Context, ended chan<- ending) {
	const looks = 4
	tick := time.NewTicker(min(s.options.StreamIdle, s.options.SocketIdle) / looks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.Sub(time.Unix(0, s.heard.Load())) > s.options.SocketIdle {
				const away = websocket.StatusGoingAway
				ended <- ending{down: away, up: away, reason: "nothing was said for too long"}
				return
			}
		}
		for _, side := range []*socket{s.down, s.up} {
			if err := s.ping(ctx, side); err == nil {
				continue
			}
			_ = side.CloseNow() // its reader reports it
		}
	}
}

// ping waits for the side's pong. It does nothing while nothing reads the side.
func (s *wsPair) ping(ctx context.Context, side *socket) error {
	if side.waits.Load() {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, s.options.StreamIdle)
	defer cancel()
	if err := side.Ping(within); err != nil && ctx.Err() == nil && !side.waits.Load() {
		return err
	}
	return nil
}

// close closes both sides.
func (s *wsPair) close(ctx context.Context, e ending) {
	var closing sync.WaitGroup
	defer closing.Wait()
	end := func(side *socket, code websocket.StatusCode) {
		if code == 0 {
			_ = side.CloseNow()
			return
		}
		_ = side.Close(code, e.reason) // with a timeout
	}
	closing.Go(func() { end(s.up, e.up) })
	if e.word != nil {
		_ = s.write(ctx, s.down, websocket.MessageText, e.word)
	}
	end(s.down, e.down)
}
