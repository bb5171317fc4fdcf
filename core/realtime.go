package core

import (
	"encoding/base64"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpguts"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
)

// The parameters of a WebSocket's query that pass, beside its model (https://platform.openai.com/docs/guides/realtime).
const (
	SessionIntent = "intent"  // "transcription" is a session for transcripts only
	SessionCall   = "call_id" // a call that the session joins; the gateway does not know its model
)

// RealtimeSession finds the model of a WebSocket, in its query.
type RealtimeSession struct{}

// Resolve implements Resolver. It rejects a request that is not a WebSocket handshake (RFC 6455, section 4.2.1).
func (RealtimeSession) Resolve(c *Catalog, x *Exchange) error {
	h := x.Request.Header
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") || !httpguts.HeaderValuesContainsToken(h["Upgrade"], "websocket") {
		answer := x.Writer.Header() // as RFC 9110, section 15.5.22, requires
		answer.Set("Connection", "Upgrade")
		answer.Set("Upgrade", "websocket")
		return apierror.Invalid(http.StatusUpgradeRequired, apierror.CodeUpgradeRequired, "", "This path is a WebSocket's; open one, over HTTP/1.1.")
	}
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-Websocket-Key"))
	if h.Get("Sec-Websocket-Version") != "13" || err != nil || len(key) != 16 || len(h["Sec-Websocket-Key"]) != 1 {
		x.Writer.Header().Set("Sec-Websocket-Version", "13")
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeUpgradeRequired, "", "The WebSocket's handshake is malformed; it must be of version 13, with one Sec-WebSocket-Key.")
	}
	q := x.Request.URL.Query()
	switch models := q["model"]; {
	case len(models) > 1:
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidModel, "model", "The query names more than one model; name one.")
	case len(models) == 0 || models[0] == "":
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeMissingModel, "model",
			"The query names no model; add ?model= and one that GET /v1/models lists.")
	default:
		x.Body, x.Passthrough = body.Body{Model: models[0], Stream: true}, &Passthrough{Path: x.Operation.Path, Query: url.Values{}}
	}
	for _, name := range []string{SessionIntent, SessionCall} {
		if value := q.Get(name); value != "" {
			x.Passthrough.Query.Set(name, value)
		}
	}
	x.Model, err = c.Lookup(x.Body.Model)
	return err
}
