// Package responses is OpenAI's Responses API as clients speak it (https://platform.openai.com/docs/api-reference/responses).
package responses

import (
	"cmp"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/api/capture"
	"github.com/berrygate/berry/core/api/openai"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
)

// Protocol is the Responses API: OpenAI's, but for the form of its responses and events.
type Protocol struct{ openai.Protocol }

var _ api.Protocol = Protocol{}

// NewStream implements api.Protocol.
func (Protocol) NewStream(o api.StreamOptions) api.Stream { return &stream{stored: o.Stored} }

// IsError implements api.Protocol. A response that failed by the request's own fault is no error: another provider would fail, too. Nor is a
// stored one, which may have failed long ago.
func (Protocol) IsError(response []byte, stored bool) bool {
	if !openai.HasError(response) {
		return false
	}
	r := jsonx.View(response)
	return r.Get("object").Str != "response" || !stored && providersFault(r)
}

// HasIDs implements api.Protocol.
func (Protocol) HasIDs() bool { return true }

// Rename implements api.Protocol.
func (Protocol) Rename(response gjson.Result, n api.Names) []jsonx.Edit { return rename(response, n) }

// ReadError implements api.Protocol.
func (Protocol) ReadError(status int, body []byte) adapter.ErrorResponse {
	if status == 0 {
		body = ErrorEnvelope(body)
	}
	return adapter.ErrorResponse{Status: status, Body: body}
}

// DescribeRequest implements api.Protocol. The conventions take a response for a chat, and instructions for no message.
func (Protocol) DescribeRequest(body gjson.Result, d *api.Description) {
	d.API = "responses"
	conversation := body.Get("conversation")
	if conversation.IsObject() {
		conversation = conversation.Get("id")
	}
	api.SetName(&d.Conversation, conversation)
	if d.Limit == 0 {
		return
	}
	in := capture.NewInput(d.Limit)
	d.Instructions = in.Instructions(body.Get("instructions"))
	input := body.Get("input")
	if input.Type == gjson.String {
		in.Add("user", input)
	}
	input.ForEach(func(_, item gjson.Result) bool {
		switch {
		case item.Get("role").Exists():
			return in.Add(item.Get("role").Str, item.Get("content"))
		case item.Get("output").Exists(): // of a tool call
			return in.Add("tool", item.Get("output"))
		default:
			return true
		}
	})
	d.Input = in.String()
}

// Describe implements api.Protocol.
func (Protocol) Describe(data []byte, d *api.Description) {
	root := jsonx.View(data)
	kind, response := root.Get("type").Str, root
	if inner := root.Get("response"); inner.IsObject() {
		response = inner
	}
	if !d.Begun {
		api.SetName(&d.ID, response.Get("id"))
		api.SetName(&d.Model, response.Get("model"))
	}
	d.Begun = true
	if kind == "response.output_text.delta" || kind == "response.refusal.delta" {
		if d.Output != nil {
			d.Output.Add(0, root.Get("delta"))
		}
		return
	}
	if reason := finishReason(response); reason != "" {
		d.Finish = d.Finish[:0]
		d.AddFinish(reason)
	}
	if d.Output != nil && kind == "" { // a stream's last event repeats what came before it
		response.Get("output").ForEach(func(_, item gjson.Result) bool {
			item.Get("content").ForEach(func(_, p gjson.Result) bool {
				text := p.Get("text")
				if text.Str == "" {
					text = p.Get("refusal")
				}
				d.Output.Add(0, text)
				return true
			})
			return true
		})
	}
}

// finishReason returns why the response has ended, as a chat's finish reason; "" if it has not.
func finishReason(response gjson.Result) string {
	status := response.Get("status").Str
	switch {
	case response.Get("object").Str != "response", status == "queued", status == "in_progress":
		return ""
	case status == "completed" && response.Get(`output.#(type="function_call")`).Exists():
		return "tool_calls"
	case status == "completed":
		return "stop"
	case status == "failed":
		return "error"
	}
	switch reason := response.Get("incomplete_details.reason").Str; reason {
	case "max_output_tokens":
		return "length"
	default:
		return cmp.Or(reason, status)
	}
}
