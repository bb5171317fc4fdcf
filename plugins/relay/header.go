package relay

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/berrygate/berry/core"
)

// passedOn are the client's headers that providers get, in canonical form. Everything else stays here: hop-by-hop headers,
// which belong to one connection, and whatever may be a credential of the client's.
var passedOn = [...]string{"Accept", "Idempotency-Key", "Openai-Beta", "Traceparent", "Tracestate", "User-Agent"}

// requestHeader returns what a provider gets of the client's headers, and the exchange's id. The idempotency key is made the user's own: the
// account is shared, and two users may have chosen the same.
func requestHeader(client http.Header, user, id string) http.Header {
	h := make(http.Header, len(passedOn)+4)
	hop := oneHop(client)
	for _, name := range passedOn {
		if values := client[name]; len(values) > 0 && !hop[name] {
			h[name] = values
		}
	}
	if keys := h["Idempotency-Key"]; user != "" && len(keys) > 0 {
		h["Idempotency-Key"] = []string{ownKey(user, keys[0])}
	}
	hideIdempotencyKey(h)
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{"berry"} // net/http would write its own
	}
	h["Accept-Encoding"] = []string{"identity"}
	h["Content-Type"] = []string{"application/json"} // which the body is, whatever the client called it
	h["X-Request-Id"] = []string{id}
	return h
}

// ownKey returns the digest of a user's idempotency key.
func ownKey(user, key string) string {
	digest := sha256.Sum256([]byte(strconv.Itoa(len(user)) + ":" + user + key))
	return hex.EncodeToString(digest[:])
}

// copyResponseHeader adds to h the headers of a provider's response that the client receives: the content type, Retry-After, rate limits and the
// provider's request id. It omits cookies, headers about the operator's account, values that contain the backend's secrets, and headers of
// the connection.
func copyResponseHeader(h, from http.Header, b *core.Backend) {
	hop := oneHop(from)
	for name, values := range from {
		switch {
		case name == "Content-Type": // which Connection cannot name, or net/http would guess one
			h[name] = []string{safeContentType(from)}
		case hop[name] || slices.ContainsFunc(values, func(v string) bool { return b.ContainsSecret([]byte(v)) }):
		case name == "Retry-After", name == "Retry-After-Ms",
			name == "Openai-Processing-Ms", name == "Openai-Version", name == "Request-Id", name == "Apim-Request-Id",
			strings.HasPrefix(name, "X-Ratelimit-"), strings.HasPrefix(name, "Ratelimit-"), strings.HasPrefix(name, "Anthropic-Ratelimit-"):
			h[name] = values
		case name == "X-Request-Id": // the client's is the gateway's own
			h["X-Upstream-Request-Id"] = values
		}
	}
}

// safeContentType returns the content type of a provider's response as the client receives it: the first one, if it is a type that browsers do not
// render as a page, else application/octet-stream.
func safeContentType(h http.Header) string {
	if !isSafe(contentType(h)) {
		return "application/octet-stream"
	}
	return h.Get("Content-Type")
}

// oneHop returns those of the headers that belong to one connection, because its field Connection names them (RFC 9110, section 7.6.1). Most
// often that says keep-alive, which is none.
func oneHop(h http.Header) map[string]bool {
	var names map[string]bool
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			name := http.CanonicalHeaderKey(strings.TrimSpace(option))
			if h[name] == nil {
				continue
			}
			if names == nil {
				names = map[string]bool{}
			}
			names[name] = true
		}
	}
	return names
}

func setLength(h http.Header, n int64) { h["Content-Length"] = []string{strconv.FormatInt(n, 10)} }

// debug tells the client whose answer this is, or who failed last, if the operator wants that.
func (p *Plugin) debug(x *core.Exchange, a *core.Attempt) {
	if !p.options.DebugHeaders {
		return
	}
	h := x.Writer.Header()
	h.Set("X-Berry-Provider", a.Backend.Upstream.Provider.ID)
	h.Set("X-Berry-Model", a.Backend.Upstream.Model)
	h.Set("X-Berry-Strategy", x.Model.Strategy.Name)
	h.Set("X-Berry-Attempts", strconv.Itoa(len(x.Attempts)))
}
