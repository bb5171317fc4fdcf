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
	"github.com/berrygate/berry/core/jsonx"
)

// wsPair are a client's WebSocket and a provider's, and what passes between them.
type wsPair struct {
	*attemptRun
	guard    modelGuard
	down, up *socket
	usage    api.Usage    // of all answers so far
	heard    atomic.Int64 // when the last message came, in Unix ns
}

// A socket is one of the two.
type socket struct {
	*websocket.Conn
	waits atomic.Bool // nobody reads it, since the other one is being written to
}

// An ending is how the conversation ends: with which code each side is closed, and whose failure it is.
type ending struct {
	down, up websocket.StatusCode // 0 for who is not there any more
	reason   string
	word     []byte // the last message to the client; nil is none
	failure  *core.Failure
}

func newSockets(t *attemptRun, down, up *websocket.Conn) *wsPair {
	guard := modelGuard{client: t.x.Model.Name, provider: t.a.Backend.Upstream.Model, transcribes: transcribes(t.x)}
	if u := t.x.User; !u.MayAll() {
		guard.others = func(model string) bool { return model == guard.client || model == guard.provider || u.May(model) }
	}
	return &wsPair{attemptRun: t, down: &socket{Conn: down}, up: &socket{Conn: up}, guard: guard}
}

// run passes first, and then messages in both directions until one side ends, or out is done. When it returns, both are closed and
// nothing is left.
func (s *wsPair) run(out context.Context, kind websocket.MessageType, first []byte) *core.Failure {
	ctx, cancel := context.WithCancel(context.WithoutCancel(out)) // while a close is being agreed on, reading must go on
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
	working.Go(func() { s.keep(ctx, ended) })
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

// pass reads messages of one side until it ends, and says how it did. take returns what the other side gets of each.
func (s *wsPair) pass(ctx context.Context, from, to *socket, take func(context.Context, []byte) []byte, ended chan<- ending) {
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
		if message = take(ctx, message); message == nil {
			continue
		}
		from.waits.Store(true)
		err = s.write(ctx, to, kind, message)
		from.waits.Store(false)
		if err != nil {
			return // it has closed, which whoever reads it tells
		}
	}
}

// write writes a message. Who reads nothing for so long as a stream may be silent is cut off.
func (s *wsPair) write(ctx context.Context, to *socket, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.StreamIdle)
	defer cancel()
	return to.Write(ctx, kind, message)
}

// fromClient returns what the provider gets of a client's message; nil if it gets nothing, which the client is told.
func (s *wsPair) fromClient(ctx context.Context, message []byte) []byte {
	out, refused := s.guard.check(message)
	if refused == nil {
		return out
	}
	_ = s.write(ctx, s.down, websocket.MessageText, socketError(refused, message)) // if that fails, reading does, too
	return nil
}

func (s *wsPair) fromProvider(_ context.Context, message []byte) []byte { return s.toClient(message) }

// toClient returns what the client gets of a provider's message, and counts its tokens.
func (s *wsPair) toClient(message []byte) []byte {
	if s.a.Backend.ContainsSecret(message) {
		return socketError(upstreamError(invalidResponse(errReported)), nil)
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
	if message, ok := withheld(message); ok {
		return message
	}
	if model := event.Get("session.model"); s.x.Model.OwnName && model.Type == gjson.String {
		return jsonx.Apply(message, []jsonx.Edit{{Value: model, Text: s.x.Model.Name}})
	}
	return message
}

// plus adds tokens, of which a long session may have more than can be counted.
func plus(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxInt32)) }

// clientEnded says what follows from the end of the client's side.
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

// providerEnded says what follows from the end of the provider's side. The client of one that was cut off is told.
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
	e.word = socketError(truncatedError(e.failure), nil)
	return e
}

// reasonOf returns what a side has closed with beside the code.
func reasonOf(err error) string {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// keep asks both sides now and then whether they are still there, and ends a conversation in which nothing is said.
func (s *wsPair) keep(ctx context.Context, ended chan<- ending) {
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
			_ = side.CloseNow() // which whoever reads it tells
		}
	}
}

// ping waits until the side answers. One that nobody reads now is not asked.
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
		_ = side.Close(code, e.reason) // whoever does not answer is cut off
	}
	closing.Go(func() { end(s.up, e.up) })
	if e.word != nil {
		_ = s.write(ctx, s.down, websocket.MessageText, e.word)
	}
	end(s.down, e.down)
}
