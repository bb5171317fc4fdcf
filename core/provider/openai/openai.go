// Package openai is the dialect of OpenAI and of everything that speaks its API: vLLM, Ollama, OpenRouter and others.
// Requests and answers pass as they are.
package openai

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// Type is the name of this dialect in the config.
const Type = "openai"

// A Dialect directs requests to one account.
type Dialect struct {
	base          url.URL
	authorization []string // shared by all requests: headers are written, never changed
	headers       http.Header
}

// New returns the dialect for the account at base. Without a key no Authorization header is sent.
func New(base *url.URL, key string, headers http.Header) *Dialect {
	d := &Dialect{base: *base, headers: headers}
	d.base.Path = strings.TrimRight(base.Path, "/")
	d.base.RawPath = strings.TrimRight(base.RawPath, "/")
	if key != "" {
		d.authorization = []string{"Bearer " + key}
	}
	return d
}

// Direct fills in r's URL and its credentials for path.
func (d *Dialect) Direct(r *http.Request, path string) {
	u := d.base
	u.Path += path
	if u.RawPath != "" {
		u.RawPath += path
	}
	r.URL, r.Host = &u, u.Host
	if d.authorization != nil {
		r.Header["Authorization"] = d.authorization
	}
	maps.Copy(r.Header, d.headers)
}
