package relay

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/berrygate/berry/core"
)

// Limits of what passes of a provider's headers, Content-Type aside: Node's clients fail at 16 KB, Python's at 100 headers.
const (
	maxHeaderBytes  = 8 << 10
	maxHeaderValues = 64
)

// copyResponseHeader adds to h the headers of a provider's response that the client receives: the content type, Retry-After, rate limits and the
// provider's request id. It omits cookies, headers about the operator's account, headers of the connection, values that contain the backend's
// secrets, and what exceeds the limits.
func copyResponseHeader(h, from http.Header, b *core.Backend) {
	if from["Content-Type"] != nil { // even if Connection names it: net/http would guess one
		h["Content-Type"] = []string{safeContentType(from)}
	}
	hop, size, count := oneHop(from), 0, 0
	secret := func(v string) bool { return b.ContainsSecret([]byte(v)) }
	for name, values := range from {
		if !passesToClient(name) || hop[name] || slices.ContainsFunc(values, secret) {
			continue
		}
		for _, v := range values {
			size, count = size+len(name)+len(v), count+1
		}
		if size > maxHeaderBytes || count > maxHeaderValues {
			return
		}
		if name == "X-Request-Id" { // the client's is the gateway's own
			name = "X-Upstream-Request-Id"
		}
		h[name] = values
	}
}

// passesToClient reports whether clients receive the provider's header of the name.
func passesToClient(name string) bool {
	switch name {
	case "Retry-After", "Retry-After-Ms", "Openai-Processing-Ms", "Openai-Version", "Request-Id", "Apim-Request-Id", "X-Request-Id":
		return true
	}
	return strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-")
}

// safeContentType returns the content type of a provider's response as the client receives it: the first one, if it is a type that browsers do not
// render as a page, else application/octet-stream.
func safeContentType(h http.Header) string {
	const longest = 256 // bytes, parameters included
	kind, text := contentType(h), h.Get("Content-Type")
	switch {
	case !isSafe(kind):
		return "application/octet-stream"
	case len(text) > longest:
		return kind
	default:
		return text
	}
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
