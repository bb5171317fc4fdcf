package relay

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/telemetry/semconv"
)

// sentResponses notes what a request of the Responses API asks for, as the GenAI conventions have it: they take it for a chat, and
// the instructions for no part of it.
func (n *attemptSpan) sentResponses() {
	n.span.Set(semconv.OpenAIAPI.String("responses"))
	if n.x.Passthrough != nil {
		return
	}
	const longest = 200 // it is the client's to choose
	body := jsonx.View(n.x.Body.Bytes)
	conversation := body.Get("conversation")
	if id := cmp.Or(conversation.Str, conversation.Get("id").Str); id != "" {
		n.span.Set(semconv.ConversationID.String(strings.Clone(truncate(id, longest))))
	}
	if n.content == nil {
		return
	}
	instructions, messages := n.content.askedResponse(body)
	n.captured(semconv.Instructions, instructions)
	n.captured(semconv.InputMessages, messages)
}

// askedResponse returns the instructions and the messages of a request for a response; "" for what it has none of.
func (c *content) askedResponse(body gjson.Result) (instructions, messages string) {
	in := input{left: c.most}
	if given := body.Get("instructions"); given.Type == gjson.String {
		s := truncate(given.Str, in.left)
		in.left -= len(s)
		instructions = marshal([]part{{"text", s}})
	}
	asked := body.Get("input")
	if asked.Type == gjson.String {
		in.add("user", asked.Str)
	}
	asked.ForEach(func(_, item gjson.Result) bool {
		switch {
		case item.Get("role").Exists():
			return in.add(item.Get("role").Str, said(item.Get("content"), in.left))
		case item.Get("output").Exists(): // of a tool's call
			return in.add("tool", said(item.Get("output"), in.left))
		default:
			return true
		}
	})
	return instructions, marshal(in.list)
}

// response notes what an answer of the Responses API, or an event, says of the response.
func (n *attemptSpan) response(data []byte) {
	const longest = 200 // it is the provider's to choose
	root := jsonx.View(data)
	kind, response := root.Get("type").Str, root
	if inner := root.Get("response"); inner.IsObject() {
		response = inner
	}
	if !n.answered {
		if id := response.Get("id"); id.Type == gjson.String {
			n.span.Set(semconv.ResponseID.String(strings.Clone(truncate(id.Str, longest))))
		}
		if model := response.Get("model"); model.Type == gjson.String {
			n.span.Set(semconv.ResponseModel.String(strings.Clone(truncate(model.Str, longest))))
		}
	}
	n.answered = true
	if kind == "response.output_text.delta" || kind == "response.refusal.delta" {
		if n.content != nil {
			n.content.more(0, root.Get("delta").Str)
		}
		return
	}
	if reason := finishReason(response); reason != "" {
		n.finish = []string{reason}
	}
	if n.content != nil && kind == "" { // the last event repeats what came before it
		response.Get("output").ForEach(func(_, item gjson.Result) bool {
			item.Get("content").ForEach(func(_, p gjson.Result) bool {
				n.content.more(0, cmp.Or(p.Get("text").Str, p.Get("refusal").Str))
				return true
			})
			return true
		})
	}
}

// finishReason returns why the response has ended, as a chat would say it; "" if it has not.
func finishReason(response gjson.Result) string {
	const longest = 50
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
		return strings.Clone(truncate(cmp.Or(reason, status), longest))
	}
}
