// Package anthropic is the dialect of Anthropic's Messages API (https://docs.anthropic.com/en/api/messages): OpenAI's chat
// completions are translated to it and back.
package anthropic

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// Type is the name of this dialect in the config.
const Type = "anthropic"

// version is the API's version that the translation is written for.
const version = "2023-06-01"

// An Adapter directs calls to one account, and translates them.
type Adapter struct{ account adapter.Endpoint }

var _ adapter.Translator = (*Adapter)(nil)

// New returns the dialect for the account. Its base URL may end in the API's /v1 or before it.
func New(a adapter.Endpoint) *Adapter {
	base := *a.Base
	base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/v1"), strings.TrimSuffix(base.RawPath, "/v1")
	a.Base = &base
	return &Adapter{a}
}

// Serves tells whether the path is that of chat completions, which are translated, or of Anthropic's own calls, which pass as
// they are.
func (d *Adapter) Serves(path string) bool { return path == "/chat/completions" || own(path) }

func own(path string) bool { return path == "/messages" || path == "/messages/count_tokens" }

// SetTarget fills in r's URL and header. A client that speaks Anthropic's API chooses its version.
func (d *Adapter) SetTarget(r *http.Request, c adapter.Call) {
	path, chosen := "/v1/messages", ""
	if own(c.Path) {
		path, chosen = "/v1"+c.Path, r.Header.Get("Anthropic-Version")
	}
	d.direct(r, path)
	if chosen != "" && d.account.Headers.Get("Anthropic-Version") == "" {
		r.Header.Set("Anthropic-Version", chosen)
	}
}

// Check directs r to the list of models.
func (d *Adapter) Check(r *http.Request) { d.direct(r, "/v1/models") }

func (d *Adapter) direct(r *http.Request, path string) {
	r.URL = adapter.Join(d.account.Base, path)
	r.Host = r.URL.Host
	r.Header.Set("Anthropic-Version", version)
	if d.account.APIVersion != "" {
		r.Header.Set("Anthropic-Version", d.account.APIVersion)
	}
	if d.account.Key != "" {
		r.Header.Set("X-Api-Key", d.account.Key)
	}
	maps.Copy(r.Header, d.account.Headers)
}

// Translate returns a chat completion's body as that of a message.
func (d *Adapter) Translate(ctx context.Context, c adapter.Call, body []byte) ([]byte, adapter.ResponseTranslator, error) {
	in, err := chat.ParseRequest(ctx, body)
	if err != nil {
		return nil, nil, err
	}
	out, err := translate(c, in)
	if err != nil {
		return nil, nil, err
	}
	chunks := chat.Chunks{Head: chat.NewHead(c, "", ""), IncludeUsage: in.IncludeUsage}
	return chat.Append(nil, out), &answer{call: c, chunks: chunks}, nil
}
