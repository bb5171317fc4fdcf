package relay

import (
	"context"
	"errors"
	"math"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/realtime"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/wsproxy"
)

// A session is the WebSocket of one attempt.
type session struct {
	*attemptRun
	guard realtime.Guard
	usage api.Usage // of all responses so far
}

var _ wsproxy.Session = (*session)(nil)

func newSession(t *attemptRun) *session {
	guard := realtime.Guard{Client: t.x.Model.Name, Provider: t.a.Backend.Upstream.Model, Transcribes: transcribes(t.x)}
	if u := t.x.User; !u.MayAll() {
		guard.Others = func(model string) bool { return model == guard.Client || model == guard.Provider || u.May(model) }
	}
	return &session{attemptRun: t, guard: guard}
}

// run passes messages until the session ends, and returns its failure.
func (s *session) run(client, provider *websocket.Conn, kind websocket.MessageType, first []byte) *core.Failure {
	proxy := wsproxy.Proxy{Session: s, WriteTimeout: s.options.StreamIdle, IdleTimeout: s.options.SocketIdle}
	switch by, err := proxy.Run(s.out, client, provider, kind, first); {
	case by == wsproxy.ByContext:
		return clientLeft(context.Cause(s.out))
	case by == wsproxy.ByClient && websocket.CloseStatus(err) < 0:
		return clientLeft(err)
	case by == wsproxy.ByProvider && providerFailed(websocket.CloseStatus(err)):
		return s.brokeSocket(err)
	}
	return nil
}

// FromClient implements wsproxy.Session.
func (s *session) FromClient(message []byte) (forward, reply []byte) {
	forward, rejected := s.guard.Check(message)
	if rejected != nil {
		return nil, realtime.ErrorEvent(rejected, message)
	}
	return forward, nil
}

// FromProvider implements wsproxy.Session. It counts the tokens.
func (s *session) FromProvider(message []byte) []byte {
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
	if hidden, ok := realtime.HideRefusedKey(message, upstreamError(invalidResponse(errReported))); ok {
		return hidden
	}
	if model := event.Get("session.model"); s.x.Model.OwnName && model.Type == gjson.String {
		return jsonx.Apply(message, []jsonx.Edit{{Value: model, Text: s.x.Model.Name}})
	}
	return message
}

// plus adds tokens without overflow.
func plus(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxInt32)) }

// ClientClosed implements wsproxy.Session.
func (s *session) ClientClosed(err error) wsproxy.Close {
	switch code := websocket.CloseStatus(err); {
	case code > 0:
		return wsproxy.Close{Provider: code, Reason: reasonOf(err)}
	case errors.Is(err, websocket.ErrMessageTooBig):
		return wsproxy.Close{Client: websocket.StatusMessageTooBig, Provider: websocket.StatusGoingAway}
	default:
		return wsproxy.Close{Provider: websocket.StatusGoingAway}
	}
}

// ProviderClosed implements wsproxy.Session. If the connection broke, the client receives an error event.
func (s *session) ProviderClosed(err error) wsproxy.Close {
	code := websocket.CloseStatus(err)
	if code > 0 && code != closedUnauthorized {
		reason := reasonOf(err)
		if s.a.Backend.ContainsSecret([]byte(reason)) {
			reason = ""
		}
		return wsproxy.Close{Client: code, Reason: reason}
	}
	c := wsproxy.Close{Client: websocket.StatusBadGateway, Last: realtime.ErrorEvent(truncatedError(s.brokeSocket(err)), nil)}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		c.Provider = websocket.StatusMessageTooBig
	}
	return c
}

// reasonOf returns the reason of a close.
func reasonOf(err error) string {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
