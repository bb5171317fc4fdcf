// Package openai is OpenAI's API as clients speak it: chat completions, completions, embeddings, images, audio, files and the like.
package openai

import (
	"bytes"
	"net/http"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/capture"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/sse"
)

// Protocol is OpenAI's API.
type Protocol struct{}

var _ api.Protocol = Protocol{}

// Key implements api.Protocol.
func (Protocol) Key(h http.Header) (string, *apierror.Error) { return apierror.Bearer(h) }

// RequestID implements api.Protocol.
func (Protocol) RequestID() string { return "" }

// EndUser implements api.Protocol.
func (Protocol) EndUser() string { return "user" }

// Serves implements api.Protocol.
func (Protocol) Serves(to adapter.Adapter, path string) bool { return to.Serves(path) }

// Target implements api.Protocol.
func (Protocol) Target(to adapter.Adapter, _ string) (adapter.Adapter, adapter.Translator) {
	translator, _ := to.(adapter.Translator)
	return to, translator
}

// Headers implements api.Protocol.
func (Protocol) Headers() []string { return nil }

// NewStream implements api.Protocol.
func (Protocol) NewStream(o api.StreamOptions) api.Stream { return &stream{terminal: o.Terminal} }

// Event implements api.Protocol.
func (Protocol) Event(data []byte) []byte { return sse.Append(nil, "", data) }

// Usage implements api.Protocol.
func (Protocol) Usage(response gjson.Result) api.Usage { return api.ReadUsage(response.Get("usage")) }

// IsError implements api.Protocol.
func (Protocol) IsError(response []byte, _ bool) bool { return HasError(response) }

// HasError reports whether a JSON text is an object with an error.
func HasError(text []byte) bool {
	if !bytes.Contains(text, []byte(`"error"`)) {
		return false
	}
	e := jsonx.View(text).Get("error")
	return e.Exists() && e.Type != gjson.Null
}

// HasIDs implements api.Protocol.
func (Protocol) HasIDs() bool { return false }

// Rename implements api.Protocol.
func (Protocol) Rename(response gjson.Result, n api.Names) []jsonx.Edit {
	if n.Model == "" {
		return nil
	}
	return RenameModel(response.Get("model"), n.Model)
}

// RenameModel returns the edit of a model's name, if it exists.
func RenameModel(model gjson.Result, name string) []jsonx.Edit {
	if !model.Exists() || model.Index == 0 {
		return nil
	}
	return []jsonx.Edit{{Value: model, Text: name}}
}

// ErrorBody implements api.Protocol.
func (Protocol) ErrorBody(e *apierror.Error, _ string) []byte { return e.Envelope() }

// ReadError implements api.Protocol.
func (Protocol) ReadError(status int, body []byte) adapter.ErrorResponse {
	return adapter.ErrorResponse{Status: status, Body: body}
}

// WriteError implements api.Protocol.
func (Protocol) WriteError(_ int, body, _ []byte, _ string) []byte { return body }

// A model is OpenAI's form of a model.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// Models implements api.Protocol.
func (p Protocol) Models(names []string, _ url.Values, created time.Time) (any, *apierror.Error) {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = p.Model(name, created)
	}
	return map[string]any{"object": "list", "data": list}, nil
}

// Model implements api.Protocol.
func (Protocol) Model(name string, created time.Time) any {
	return model{ID: name, Object: "model", Created: created.Unix(), OwnedBy: "berry"}
}

// DescribeRequest implements api.Protocol.
func (Protocol) DescribeRequest(body gjson.Result, d *api.Description) {
	if d.Limit == 0 {
		return
	}
	in := capture.NewInput(d.Limit)
	body.Get("messages").ForEach(func(_, m gjson.Result) bool { return in.Add(m.Get("role").String(), m.Get("content")) })
	if prompt := body.Get("prompt"); prompt.Exists() {
		in.Add("user", prompt)
	}
	d.Input = in.String()
}

// Describe implements api.Protocol. Most events of a stream contain nothing new, and are hardly read.
func (Protocol) Describe(response []byte, d *api.Description) {
	_, after, found := bytes.Cut(response, []byte(`"finish_reason":`))
	ends := found && bytes.HasPrefix(bytes.TrimLeft(after, " "), []byte{'"'})
	if d.Begun && !ends && d.Output == nil {
		return
	}
	first := !d.Begun
	d.Begun = true
	jsonx.View(response).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "id":
			if first {
				api.SetName(&d.ID, value)
			}
		case "model":
			if first {
				api.SetName(&d.Model, value)
			}
		case "choices":
			if value.IsArray() {
				value.ForEach(func(_, choice gjson.Result) bool { describeChoice(choice, d); return true })
			}
		}
		return true
	})
}

// describeChoice adds why a choice has ended, and its texts.
func describeChoice(choice gjson.Result, d *api.Description) {
	if d.Output != nil {
		for _, path := range [...]string{"message.content", "delta.content", "text"} {
			d.Output.Add(int(choice.Get("index").Int()), choice.Get(path))
		}
	}
	if reason := choice.Get("finish_reason"); reason.Type == gjson.String {
		d.AddFinish(reason.Str)
	}
}
