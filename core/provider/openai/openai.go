// Package openai is the dialect of OpenAI and of everything that speaks its API: vLLM, Ollama, OpenRouter, DeepSeek and
// others. Requests and answers pass as they are.
package openai

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
)

// Type is the name of this dialect in the config.
const Type = "openai"

// An Adapter directs calls to one account.
type Adapter struct {
	base          url.URL
	authorization []string // shared by all requests: headers are written, never changed
	headers       http.Header
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns the dialect for the account. Without a key no Authorization header is sent.
func New(a adapter.Endpoint) *Adapter {
	d := &Adapter{base: *a.Base, headers: a.Headers}
	if a.Key != "" {
		d.authorization = []string{"Bearer " + a.Key}
	}
	return d
}

// Serves tells that calls with any path of OpenAI's are passed on; of Anthropic's none is. What a provider does not have, it says
// itself.
func (d *Adapter) Serves(path string) bool { return !strings.HasPrefix(path, "/messages") }

// SetTarget fills in r's URL and its credentials.
func (d *Adapter) SetTarget(r *http.Request, c adapter.Call) {
	d.direct(r, c.Path)
	if c.Path == "/realtime" { // has no body to name the model in
		q := r.URL.Query()
		q.Set("model", c.Model)
		r.URL.RawQuery = q.Encode()
	}
}

// Check directs r to the list of models.
func (d *Adapter) Check(r *http.Request) { d.direct(r, "/models") }

func (d *Adapter) direct(r *http.Request, path string) {
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
