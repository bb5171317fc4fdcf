// Package openai is the dialect of OpenAI and of everything that speaks its API: vLLM, Ollama, OpenRouter, DeepSeek and
// others. Requests and answers pass as they are.
package openai

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/provider/dialect"
)

// Type is the name of this dialect in the config.
const Type = "openai"

// A Dialect directs calls to one account.
type Dialect struct {
	base          url.URL
	authorization []string // shared by all requests: headers are written, never changed
	headers       http.Header
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns the dialect for the account. Without a key no Authorization header is sent.
func New(a dialect.Endpoint) *Dialect {
	d := &Dialect{base: *a.Base, headers: a.Headers}
	if a.Key != "" {
		d.authorization = []string{"Bearer " + a.Key}
	}
	return d
}

// Serves tells that calls with any path of OpenAI's are passed on; of Anthropic's none is. What a provider does not have, it says
// itself.
func (d *Dialect) Serves(path string) bool { return !strings.HasPrefix(path, "/messages") }

// Direct fills in r's URL and its credentials.
func (d *Dialect) Direct(r *http.Request, c dialect.Call) {
	d.direct(r, c.Path)
	if c.Path == "/realtime" { // has no body to name the model in
		q := r.URL.Query()
		q.Set("model", c.Model)
		r.URL.RawQuery = q.Encode()
	}
}

// Check directs r to the list of models.
func (d *Dialect) Check(r *http.Request) { d.direct(r, "/models") }

func (d *Dialect) direct(r *http.Request, path string) {
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
