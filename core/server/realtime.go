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
	// A server's shutdown neither waits for hijacked connections nor closes them.
	stop := context.AfterFunc(s.sockets, func() { cancel(apierror.ErrShutdown) })
	defer stop()
	r := c.Request().Clone(ctx)
	takeToken(r.Header)
	c.SetRequest(r)
	return s.exchange(c, op)
}

// takeToken moves a token from the subprotocols to an Authorization header: browsers cannot set headers of a WebSocket. The token must not
// remain among the subprotocols, which are negotiated, forwarded and logged. A client that sends both has two, which auth rejects.
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
