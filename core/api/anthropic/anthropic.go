// Package anthropic is Anthropic's Messages API as clients speak it (https://docs.anthropic.com/en/api/messages).
package anthropic

import (
	"bytes"
	"net/http"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/capture"
	"github.com/berrygate/berry/core/api/openai"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/messages"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/sse"
)

// Protocol is Anthropic's API.
type Protocol struct{}

var _ api.Protocol = Protocol{}

// Key implements api.Protocol.
func (Protocol) Key(h http.Header) (string, *apierror.Error) { return apierror.APIKey(h) }

// RequestID implements api.Protocol.
func (Protocol) RequestID() string { return "Request-Id" }

// EndUser implements api.Protocol.
func (Protocol) EndUser() string { return "metadata.user_id" }

// Serves implements api.Protocol.
func (Protocol) Serves(to adapter.Adapter, path string) bool {
	return to.Serves(path) || path == "/messages" && to.Serves(ChatPath)
}

// Target implements api.Protocol. A provider that does not serve the path is asked for a chat completion.
func (Protocol) Target(to adapter.Adapter, path string) (adapter.Adapter, adapter.Translator) {
	if to.Serves(path) {
		return to, nil
	}
	translator := messages.Translate(to, ChatPath)
	return translator, translator
}

// ChatPath is the path of chat completions, below /v1, to which messages are translated.
const ChatPath = "/chat/completions"

// Headers implements api.Protocol: the version and the betas that the client speaks.
func (Protocol) Headers() []string { return []string{"Anthropic-Version", "Anthropic-Beta"} }

// NewStream implements api.Protocol.
func (Protocol) NewStream(o api.StreamOptions) api.Stream { return &stream{eager: o.Translated} }

// Event implements api.Protocol.
func (Protocol) Event(data []byte) []byte {
	return sse.Append(nil, jsonx.View(data).Get("type").Str, data)
}

// Usage implements api.Protocol.
func (Protocol) Usage(response gjson.Result) api.Usage {
	var u usage
	u.read(response.Get("usage"))
	return u.total()
}

// IsError implements api.Protocol.
func (Protocol) IsError(response []byte, _ bool) bool { return openai.HasError(response) }

// HasIDs implements api.Protocol.
func (Protocol) HasIDs() bool { return false }

// Rename implements api.Protocol. In a stream, only the first event names the model.
func (Protocol) Rename(response gjson.Result, n api.Names) []jsonx.Edit {
	if n.Model == "" {
		return nil
	}
	model := response.Get("message.model")
	if !model.Exists() {
		model = response.Get("model")
	}
	return openai.RenameModel(model, n.Model)
}

// ErrorBody implements api.Protocol.
func (Protocol) ErrorBody(e *apierror.Error, requestID string) []byte {
	return messages.Envelope(e.Status, e.Code, e.Message, requestID)
}

// ReadError implements api.Protocol.
func (Protocol) ReadError(status int, body []byte) adapter.ErrorResponse {
	e := messages.Refusal(status, body)
	if e.Status == 0 {
		e.Status = http.StatusInternalServerError
	}
	return e
}

// WriteError implements api.Protocol.
func (Protocol) WriteError(status int, body, original []byte, requestID string) []byte {
	if messages.IsError(original) {
		return bytes.Clone(original)
	}
	return messages.ErrorBody(status, body, requestID)
}

// Models implements api.Protocol. Its lists have pages.
func (Protocol) Models(names []string, query url.Values, _ time.Time) (any, *apierror.Error) {
	p, err := newPage(names, query)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Model implements api.Protocol.
func (Protocol) Model(name string, _ time.Time) any { return newModel(name) }

// DescribeRequest implements api.Protocol.
func (Protocol) DescribeRequest(body gjson.Result, d *api.Description) {
	if d.Limit == 0 {
		return
	}
	in := capture.NewInput(d.Limit)
	if system := body.Get("system"); system.Exists() {
		in.Add("system", system)
	}
	body.Get("messages").ForEach(func(_, m gjson.Result) bool { return in.Add(m.Get("role").String(), m.Get("content")) })
	d.Input = in.String()
}

// Describe implements api.Protocol. Most events of a stream contain nothing new, and are hardly read.
func (Protocol) Describe(response []byte, d *api.Description) {
	if d.Begun && d.Output == nil && !bytes.Contains(response, []byte(`"stop_reason"`)) {
		return
	}
	m := jsonx.View(response)
	delta := m.Get("delta")
	if inner := m.Get("message"); inner.IsObject() {
		m = inner
	}
	if !d.Begun {
		d.Begun = true
		api.SetName(&d.ID, m.Get("id"))
		api.SetName(&d.Model, m.Get("model"))
	}
	for _, reason := range []gjson.Result{m.Get("stop_reason"), delta.Get("stop_reason")} {
		if reason.Type == gjson.String && d.Finish == nil {
			d.AddFinish(reason.Str)
		}
	}
	if d.Output != nil {
		d.Output.Add(0, m.Get("content"))
		d.Output.Add(0, delta.Get("text"))
	}
}
