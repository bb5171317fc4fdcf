package anthropic

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

var errNoMessage = errors.New("anthropic: the answer is not a message")

// An answer translates a message, or the stream of one.
type answer struct {
	call   adapter.Call
	chunks chat.Chunks
	usage  usage
	open   open
}

var _ adapter.ResponseTranslator = (*answer)(nil)

// A reply is a message as the API answers it, or an error.
type reply struct {
	Type        string       `json:"type"` // message, error
	ID          string       `json:"id"`
	Model       string       `json:"model"`
	Content     []piece      `json:"content"`
	StopReason  string       `json:"stop_reason"`
	StopDetails *stopDetails `json:"stop_details"`
	Usage       usage        `json:"usage"`
	Error       *fault       `json:"error"`
}

// A piece is a block of an answer.
type piece struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Thinking string          `json:"thinking"`
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Input    json.RawMessage `json:"input"`
}

// stopDetails say why the model refused.
type stopDetails struct {
	Explanation string `json:"explanation"`
}

// refusal returns what the client is told of a refusal; nil if it is nothing.
func (s *stopDetails) refusal(reason string) *string {
	if s == nil || s.Explanation == "" || reason != "refusal" {
		return nil
	}
	return &s.Explanation
}

type usage struct {
	Input      int64 `json:"input_tokens"`
	CacheWrite int64 `json:"cache_creation_input_tokens"`
	CacheRead  int64 `json:"cache_read_input_tokens"`
	Output     int64 `json:"output_tokens"`
	Details    struct {
		Thinking int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// translate returns the usage as OpenAI counts it, whose prompt includes what came from the cache.
func (u *usage) translate() *chat.Usage {
	return chat.NewUsage(u.Input+u.CacheWrite+u.CacheRead, u.CacheRead, u.CacheWrite, u.Output, u.Details.Thinking)
}

// Usage returns what the provider has reported.
func (a *answer) Usage() (input, output int64) {
	u := a.usage.translate()
	return u.Prompt, u.Completion
}

// Body translates a message.
func (a *answer) Body(body []byte) ([]byte, error) {
	var m reply
	switch {
	case !chat.Decode(body, &m):
		return nil, errNoMessage
	case m.Error != nil:
		return m.Error.translate(0).Body(), nil
	case m.Type != "message":
		return nil, errNoMessage
	}
	a.usage = m.Usage
	out := chat.Completion{
		Head: chat.NewHead(a.call, m.ID, m.Model), Usage: m.Usage.translate(),
		Choices: []chat.Choice{{Message: m.translate(), FinishReason: finish(m.StopReason)}},
	}
	return chat.Append(nil, out), nil
}

func (m *reply) translate() chat.Reply {
	out := chat.Reply{Role: "assistant", Refusal: m.StopDetails.refusal(m.StopReason)}
	var texts, thoughts []string
	for _, p := range m.Content {
		switch p.Type {
		case "text":
			texts = append(texts, p.Text)
		case "thinking":
			thoughts = append(thoughts, p.Thinking)
		case "tool_use":
			out.ToolCalls = append(out.ToolCalls, chat.NewCall(p.ID, p.Name, p.arguments(), ""))
		}
	}
	out.Reasoning = strings.Join(thoughts, "")
	if len(texts) > 0 || len(out.ToolCalls) == 0 && out.Refusal == nil {
		text := strings.Join(texts, "")
		out.Content = &text
	}
	return out
}

// arguments returns a call's input as OpenAI writes it.
func (p *piece) arguments() string {
	if len(p.Input) == 0 || string(p.Input) == "null" {
		return "{}"
	}
	return chat.Compact(p.Input)
}

// finish returns OpenAI's word for why the model stopped.
func finish(reason string) string {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	default: // end_turn, stop_sequence
		return "stop"
	}
}
