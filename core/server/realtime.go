package server

import (
	"context"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
)

// realtime serves one WebSocket.
func (s *Server) realtime(c echo.Context, op core.Operation) error {
	ctx, cancel := context.WithCancelCause(c.Request().Context())
	defer cancel(nil)
	// net/http does not wait for connections that have become something else, nor does it end them.
	stop := context.AfterFunc(s.sockets, func() { cancel(apierror.ErrShutdown) })
	defer stop()
	r := c.Request().Clone(ctx)
	takeToken(r.Header)
	c.SetRequest(r)
	return s.exchange(c, op)
}

// takeToken makes an Authorization header of a token among the subprotocols, where browsers, which can set no header of a
// WebSocket, put it. It is one no longer: nothing that is agreed on, sent on or written down can be the token. A client that sends
// both has two, which auth refuses.
func takeToken(h map[string][]string) {
	const name, mark = "Sec-Websocket-Protocol", "openai-insecure-api-key."
	var rest []string
	for _, line := range h[name] {
		for protocol := range strings.SplitSeq(line, ",") {
			protocol = strings.TrimSpace(protocol)
			if token, ok := strings.CutPrefix(protocol, mark); ok {
				h["Authorization"] = append(h["Authorization"], "Bearer "+token)
			} else {
				rest = append(rest, protocol)
			}
		}
	}
	delete(h, name)
	if len(rest) > 0 {
		h[name] = []string{strings.Join(rest, ", ")}
	}
}
