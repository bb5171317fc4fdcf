// Package gemini is the dialect of Google's Gemini API (https://ai.google.dev/api/generate-content): OpenAI's chat
// completions and embeddings are translated to it and back.
package gemini

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// Type is the name of this dialect in the config.
const Type = "gemini"

// version is the API's version that the translation is written for.
const version = "v1beta"

// versioned is a path that names a version.
var versioned = regexp.MustCompile(`^v\d`)

// The calls that are translated.
const (
	completions = "/chat/completions"
	embeddings  = "/embeddings"
)

// An Adapter directs calls to one account, and translates them.
type Adapter struct{ account adapter.Endpoint }

var _ adapter.Translator = (*Adapter)(nil)

// New returns the dialect for the account. Its base URL may end in the API's version, or before it.
func New(a adapter.Endpoint) *Adapter {
	if !versioned.MatchString(path.Base(a.Base.Path)) {
		a.Base = adapter.Join(a.Base, "/"+cmp.Or(a.APIVersion, version))
	}
	return &Adapter{a}
}

// Serves tells whether the path is that of chat completions or embeddings.
func (d *Adapter) Serves(path string) bool { return path == completions || path == embeddings }

// SetTarget fills in r's URL, of which the model is a part, and header.
func (d *Adapter) SetTarget(r *http.Request, c adapter.Call) {
	method, query := ":generateContent", ""
	switch {
	case c.Path == embeddings:
		method = ":batchEmbedContents"
	case c.Stream:
		method, query = ":streamGenerateContent", "alt=sse"
	}
	d.direct(r, "/"+escaped(name(c.Model))+method, query)
}

// Check directs r to the list of models.
func (d *Adapter) Check(r *http.Request) { d.direct(r, "/models", "pageSize=1") }

func (d *Adapter) direct(r *http.Request, path, query string) {
	r.URL = adapter.Join(d.account.Base, path)
	r.URL.RawQuery, r.Host = query, r.URL.Host
	if d.account.Key != "" {
		r.Header.Set("X-Goog-Api-Key", d.account.Key)
	}
	maps.Copy(r.Header, d.account.Headers)
}

// name returns the resource's name of a model: models/gemini-2.5-flash, unless it is one of another kind.
func name(model string) string {
	if strings.Contains(model, "/") {
		return model
	}
	return "models/" + model
}

// escaped escapes a name but for the slashes that divide it.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// Translate returns a body as Gemini's.
func (d *Adapter) Translate(ctx context.Context, c adapter.Call, body []byte) ([]byte, adapter.ResponseTranslator, error) {
	if c.Path == embeddings {
		return embed(ctx, c, body)
	}
	in, err := chat.ParseRequest(ctx, body)
	if err != nil {
		return nil, nil, err
	}
	out, err := translate(c, in)
	if err != nil {
		return nil, nil, err
	}
	a := &answer{call: c, chunks: chat.Chunks{Head: chat.NewHead(c, "", ""), IncludeUsage: in.IncludeUsage}}
	return chat.Append(nil, out), a, nil
}
