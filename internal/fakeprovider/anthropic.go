package fakeprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// anthropic implements the Messages API (https://docs.anthropic.com/en/api/messages).
type anthropic struct {
	model string
	begun bool
	block int    // index of the next block
	open  string // type of the open block; "" if none
}

type anthropicRequest struct {
	Model         string             `json:"model"`
	MaxTokens     int                `json:"max_tokens"`
	System        blocks             `json:"system"`
	Messages      []anthropicMessage `json:"messages"`
	Stream        bool               `json:"stream"`
	Temperature   *float64           `json:"temperature"`
	TopP          *float64           `json:"top_p"`
	TopK          *int               `json:"top_k"`
	StopSequences []string           `json:"stop_sequences"`
	Tools         []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
		Strict      bool            `json:"strict"`
	} `json:"tools"`
	ToolChoice   *object `json:"tool_choice"`
	Thinking     *object `json:"thinking"`
	OutputConfig *struct {
		Effort string `json:"effort"`
		Format *struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
	Metadata    *object `json:"metadata"`
	ServiceTier string  `json:"service_tier"`
}

// counting adds Anthropic's endpoint for counting tokens, which OpenAI's API does not have. It counts one token per message.
func counting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/v1/messages/count_tokens") {
			h.ServeHTTP(w, r)
			return
		}
		var in anthropicRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = strictly(body, &in)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil || in.MaxTokens != 0 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(marshal(object{"type": "error", "error": object{"type": "invalid_request_error", "message": fmt.Sprint(err)}}))
			return
		}
		_, _ = w.Write(marshal(object{"input_tokens": len(in.Messages)}))
	})
}

type anthropicMessage struct {
	Role    string `json:"role"`
	Content blocks `json:"content"`
}

// blocks are content blocks, which a request may abbreviate to a string.
type blocks []anthropicBlock

func (s *blocks) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*s = blocks{{Type: "text", Text: text}}
		return nil
	}
	var blocks []anthropicBlock
	err := strictly(b, &blocks)
	*s = blocks
	return err
}

type anthropicBlock struct {
	Type      string                                       `json:"type"`
	Text      string                                       `json:"text"`
	Source    struct{ Type, Media_type, Data, URL string } `json:"source"` //nolint:revive // JSON's name
	ID        string                                       `json:"id"`
	Name      string                                       `json:"name"`
	Input     json.RawMessage                              `json:"input"`
	ToolUseID string                                       `json:"tool_use_id"`
	Content   blocks                                       `json:"content"`
	IsError   bool                                         `json:"is_error"`
}

func (s *anthropic) decodeRequest(r *http.Request, body []byte) (path string, out any, key string, err error) {
	var in anthropicRequest
	switch err := strictly(body, &in); {
	case err != nil:
		return "", nil, "", err
	case !strings.HasSuffix(r.URL.Path, "/v1/messages") || r.Header.Get("Anthropic-Version") == "":
		return "", nil, "", errors.New("path or anthropic-version")
	case in.MaxTokens < 1 || len(in.Messages) == 0:
		return "", nil, "", errors.New("max_tokens and messages are required")
	}
	s.model = in.Model
	request := object{"model": in.Model, "stream": in.Stream}
	var messages []any
	for _, b := range in.System {
		messages = append(messages, object{"role": "system", "content": b.Text})
	}
	for i, m := range in.Messages {
		if i > 0 && in.Messages[i-1].Role == m.Role {
			return "", nil, "", errors.New("roles must alternate")
		}
		messages = append(messages, m.openAI()...)
	}
	request["messages"] = messages
	var tools []any
	for _, t := range in.Tools {
		tools = append(tools, object{"type": "function", "function": object{"name": t.Name, "parameters": t.InputSchema}})
	}
	if tools != nil {
		request["tools"] = tools
	}
	if c := in.OutputConfig; c != nil && c.Format != nil {
		request["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "schema", "schema": c.Format.Schema}}
	}
	return "/v1/chat/completions", request, r.Header.Get("X-Api-Key"), nil
}

func (m anthropicMessage) openAI() []any {
	var messages, parts, calls []any
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			parts = append(parts, object{"type": "text", "text": b.Text})
		case "image":
			url := b.Source.URL
			if b.Source.Type == "base64" {
				url = "data:" + b.Source.Media_type + ";base64," + b.Source.Data
			}
			parts = append(parts, object{"type": "image_url", "image_url": object{"url": url}})
		case "tool_use":
			calls = append(calls, object{"id": b.ID, "type": "function", "function": object{"name": b.Name, "arguments": string(b.Input)}})
		case "tool_result":
			text := ""
			for _, c := range b.Content {
				text += c.Text
			}
			messages = append(messages, object{"role": "tool", "tool_call_id": b.ToolUseID, "content": text})
		}
	}
	if parts == nil && calls == nil {
		return messages
	}
	message := object{"role": m.Role, "content": parts}
	if calls != nil {
		message["tool_calls"] = calls
	}
	return append(messages, message)
}

func anthropicReason(reason string) string {
	return map[string]string{"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}[reason]
}

func (s *anthropic) encodeResponse(a *answer) any {
	c := a.Choices[0]
	content := []any{}
	if c.Message.Content != nil {
		content = append(content, object{"type": "text", "text": *c.Message.Content})
	}
	for _, call := range c.Message.ToolCalls {
		content = append(content, object{"type": "tool_use", "id": "toolu_" + call.ID, "name": call.Function.Name, "input": json.RawMessage(call.Function.Arguments)})
	}
	out := object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": s.model, "content": content, "stop_sequence": nil,
		"stop_reason": anthropicReason(*c.FinishReason),
	}
	if a.Usage != nil {
		out["usage"] = object{"input_tokens": a.Usage.Prompt, "output_tokens": a.Usage.Completion}
	}
	return out
}

func anthropicEvent(typ string, v object) []byte {
	v["type"] = typ
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", typ, marshal(v))
}

func (s *anthropic) encodeChunk(a *answer) []byte {
	if a.Error != nil {
		_, body := s.encodeError(http.StatusOK, a.Error)
		return fmt.Appendf(nil, "event: error\ndata: %s\n\n", marshal(body))
	}
	var out []byte
	if !s.begun {
		s.begun = true
		out = append(out, anthropicEvent("message_start", object{"message": object{
			"id": "msg_1", "type": "message", "role": "assistant", "content": []any{}, "model": s.model, "stop_reason": nil,
			"usage": object{"input_tokens": 1, "output_tokens": 1},
		}})...)
		out = append(out, anthropicEvent("ping", object{})...)
	}
	for _, c := range a.Choices {
		if c.Delta.Content != nil && *c.Delta.Content != "" {
			out = append(out, s.start("text", object{"type": "text", "text": ""})...)
			out = append(out, s.delta(object{"type": "text_delta", "text": *c.Delta.Content})...)
		}
		for _, call := range c.Delta.ToolCalls {
			if call.ID != "" {
				s.open = ""
				out = append(out, s.start("tool_use", object{"type": "tool_use", "id": "toolu_" + call.ID, "name": call.Function.Name, "input": object{}})...)
			}
			out = append(out, s.delta(object{"type": "input_json_delta", "partial_json": call.Function.Arguments})...)
		}
		if c.FinishReason != nil {
			if s.open != "" {
				out = append(out, anthropicEvent("content_block_stop", object{"index": s.block - 1})...)
			}
			tokens := object{"output_tokens": 1}
			if a.Usage != nil {
				tokens = object{"input_tokens": a.Usage.Prompt, "output_tokens": a.Usage.Completion}
			}
			out = append(out, anthropicEvent("message_delta", object{"delta": object{"stop_reason": anthropicReason(*c.FinishReason), "stop_sequence": nil}, "usage": tokens})...)
		}
	}
	return out
}

// start begins a block, unless one of the type is open.
func (s *anthropic) start(typ string, block object) []byte {
	if s.open == typ {
		return nil
	}
	var out []byte
	if s.block > 0 {
		out = anthropicEvent("content_block_stop", object{"index": s.block - 1})
	}
	s.open = typ
	s.block++
	return append(out, anthropicEvent("content_block_start", object{"index": s.block - 1, "content_block": block})...)
}

func (s *anthropic) delta(d object) []byte {
	return anthropicEvent("content_block_delta", object{"index": s.block - 1, "delta": d})
}

func (s *anthropic) encodeDone() []byte { return anthropicEvent("message_stop", object{}) }

func (s *anthropic) encodeError(status int, e *fault) (int, any) {
	typ, message := "invalid_request_error", e.Message
	switch {
	case status == http.StatusServiceUnavailable:
		status, typ = 529, "overloaded_error"
	case e.Type == "server_error":
		typ = "api_error"
	case e.Type == "rate_limit_exceeded":
		typ = "rate_limit_error"
	case e.Code == "invalid_api_key":
		typ = "authentication_error"
	case e.Code == "permission_error":
		typ = "permission_error"
	case e.Code == "context_length_exceeded":
		message = "prompt is too long: 210000 tokens > 200000 maximum"
	case e.Code == "content_filter":
		message = "Output blocked by content filtering policy"
	}
	return status, object{"type": "error", "error": object{"type": typ, "message": message}}
}
