package relay

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/responses"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// messageLimit is the maximum size of a WebSocket message, in bytes. OpenAI's limit is 15 MiB of audio.
const messageLimit = 16 << 20

// isRealtime reports whether the exchange is a WebSocket.
func isRealtime(x *core.Exchange) bool { return x.Operation.Path == core.Realtime }

// proxyWebSocket makes one attempt at a WebSocket. It accepts the client's handshake after the provider's first message that is not an
// error; until then a failure leaves the client untouched, and another backend can be tried.
func (t *attemptRun) proxyWebSocket(r *http.Request) *core.Failure {
	delete(r.Header, "Content-Type")
	t.nameSession(r.URL)
	up, response, err := websocket.Dial(t.ctx, r.URL.String(), &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		HTTPClient: &http.Client{
			Transport:     withoutRetries{t.a.Backend.Upstream.Provider.Transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader: r.Header, Host: r.Host, Subprotocols: protocols(t.x.Request.Header),
	})
	if err != nil {
		return t.handshakeFailed(response, err)
	}
	defer func() { _ = up.CloseNow() }()
	t.a.Status = response.StatusCode
	up.SetReadLimit(messageLimit)
	kind, first, err := up.Read(t.ctx)
	if err != nil {
		return t.closedBeforeFirstMessage(err)
	}
	if f := t.refusedSession(first); f != nil {
		return f
	}
	if !t.limit.Stop() || !t.inTime() {
		return t.truncated(errSilent)
	}
	t.answers()
	t.debug(t.x, t.a)
	t.x.Commit(http.StatusSwitchingProtocols)
	down, err := websocket.Accept(t.x.Writer, t.x.Request, &websocket.AcceptOptions{
		Subprotocols:       []string{up.Subprotocol()},
		InsecureSkipVerify: true, // of the origin: browsers do not send the token by themselves
	})
	if err != nil {
		return clientLeft(err)
	}
	defer func() { _ = down.CloseNow() }()
	down.SetReadLimit(min(messageLimit, t.x.MaxBody))
	s := newSession(t)
	defer func() { t.a.Usage = s.usage }()
	return s.run(down, up, kind, first)
}

// nameSession removes the model from the URL of a session for which OpenAI does not accept it: a session for transcripts names it in its
// first update, and a call has one already. (A deployment of Azure's stays.)
func (t *attemptRun) nameSession(u *url.URL) {
	if q := u.Query(); transcribes(t.x) || q.Has(core.SessionCall) {
		q.Del("model")
		u.RawQuery = q.Encode()
	}
}

// transcribes reports whether the exchange is a WebSocket for transcripts.
func transcribes(x *core.Exchange) bool {
	return x.Passthrough.Query.Get(core.SessionIntent) == "transcription"
}

// protocols returns the client's subprotocols that are forwarded.
func protocols(h http.Header) []string {
	var all []string
	for p := range strings.SplitSeq(h.Get("Sec-Websocket-Protocol"), ",") {
		if p = strings.TrimSpace(p); p == "realtime" || strings.HasPrefix(p, "openai-beta.") {
			all = append(all, p)
		}
	}
	return all
}

// handshakeFailed returns the failure of a handshake.
func (t *attemptRun) handshakeFailed(response *http.Response, err error) *core.Failure {
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		return t.broken(err)
	}
	t.a.Status = response.StatusCode
	if response.StatusCode < 400 {
		return invalidResponse(fmt.Errorf("status %d", response.StatusCode))
	}
	var body []byte
	if response.Body != nil {
		body, _ = io.ReadAll(response.Body) // from memory
	}
	f := route.Classify(&core.Answer{Status: response.StatusCode, Header: response.Header, Body: body}, t.call(), time.Now())
	if !jsonx.Valid(body) {
		f.Answer = nil // the library truncates it to a kilobyte
	}
	return f
}

// closedBeforeFirstMessage returns the failure of a provider that closed the WebSocket, or whose connection broke, before its first message.
func (t *attemptRun) closedBeforeFirstMessage(err error) *core.Failure {
	code := websocket.CloseStatus(err)
	if code < 0 {
		return t.truncated(err)
	}
	f := &core.Failure{Result: abi.ServerError, Retryable: true, Err: closedWith(code)}
	if code == closedUnauthorized {
		f.Result, f.Scope, f.RefusedKey, f.NoRepeat = abi.AuthRefused, upstream.ScopeAccount, true, true
	}
	return f
}

// closedUnauthorized is the code with which OpenAI closes a WebSocket whose key it rejects (https://www.iana.org/assignments/websocket).
const closedUnauthorized = 3000

// closedWith returns the error of a WebSocket that the provider closed. It omits the reason, which may quote the key.
func closedWith(code websocket.StatusCode) error {
	return fmt.Errorf("the provider closed the WebSocket with %d", code)
}

// refusedSession returns the failure that the provider's first message reports; nil if it reports none.
func (t *attemptRun) refusedSession(message []byte) *core.Failure {
	if !jsonx.Valid(message) {
		return invalidResponse(errNoJSON)
	}
	if jsonx.View(message).Get("type").Str != "error" {
		return nil
	}
	return route.ClassifyError(responses.ErrorEnvelope(message), nil, t.call(), time.Now())
}

// providerFailed reports whether a provider's close code means that it failed. A negative code is that of a broken connection.
func providerFailed(code websocket.StatusCode) bool {
	return code < 0 || slices.Contains([]websocket.StatusCode{
		websocket.StatusProtocolError, websocket.StatusInvalidFramePayloadData, websocket.StatusInternalError,
		websocket.StatusServiceRestart, websocket.StatusTryAgainLater, websocket.StatusBadGateway, closedUnauthorized,
	}, code)
}

// brokeSocket returns the failure of a session that the provider should have continued.
func (t *attemptRun) brokeSocket(err error) *core.Failure {
	f := t.truncated(err)
	if code := websocket.CloseStatus(err); code > 0 {
		f.Err = closedWith(code)
	} else if errors.Is(err, websocket.ErrMessageTooBig) {
		f.Err = websocket.ErrMessageTooBig
	}
	if f.Result == abi.ServerError {
		f.Result = abi.StreamBroken
	}
	return f
}
