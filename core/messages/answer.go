package messages

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

var (
	errNoMessage = errors.New("messages: the answer is not a chat completion")
	errNoCall    = errors.New("messages: the answer calls a tool without a name, or with what is not a JSON object")
)

// An answer translates a chat completion, or the stream of one, to a message.
type answer struct {
	call     adapter.Call
	stop     []string                   // the sequences that were asked for
	thoughts bool                       // are to be shown
	inner    adapter.ResponseTranslator // translates to a chat completion; nil where the provider speaks of them itself
	usage    chat.Usage
	stream   stream
}

var _ adapter.ResponseTranslator = (*answer)(nil)

// A reply is a chat completion, or a chunk of one.
type reply struct {
	ID      string      `json:"id"`
	Model   string      `json:"model"`
	Choices []choice    `json:"choices"`
	Usage   *chat.Usage `json:"usage"`
	Error   any         `json:"error"`
}

type choice struct {
	Message      words  `json:"message"`
	Delta        words  `json:"delta"`
	FinishReason string `json:"finish_reason"`
	StopReason   any    `json:"stop_reason"` // vLLM's: the sequence at which it stopped
}

// words are what a choice says, or a piece of it. Thoughts have two names; OpenAI has none.
type words struct {
	Content   string      `json:"content"`
	Refusal   string      `json:"refusal"`
	Reasoning string      `json:"reasoning_content"`
	Thoughts  string      `json:"reasoning"`
	ToolCalls []chat.Call `json:"tool_calls"`
}

func (w *words) reasoning() string {
	if w.Reasoning != "" {
		return w.Reasoning
	}
	return w.Thoughts
}

// A message is Anthropic's.
type message struct {
	ID           string  `json:"id"`
	Type         string  `json:"type"`
	Role         string  `json:"role"`
	Model        string  `json:"model"`
	Content      []block `json:"content"`
	StopReason   *string `json:"stop_reason"`
	StopSequence *string `json:"stop_sequence"`
	Usage        usage   `json:"usage"`
}

// A block is a piece of a message. Which fields it has depends on its type.
type block struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature *string         `json:"signature,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
}

func textBlock(s string) block { return block{Type: "text", Text: &s} }

// thinkingBlock returns a block of thoughts, which nobody has signed.
func thinkingBlock(s string) block {
	return block{Type: "thinking", Thinking: &s, Signature: new(string)}
}

func useBlock(id, name string, input []byte) block {
	return block{Type: "tool_use", ID: id, Name: name, Input: input}
}

// usage counts as Anthropic does: what comes from the cache, or goes there, is not among the input.
type usage struct {
	Input      int64    `json:"input_tokens"`
	CacheWrite int64    `json:"cache_creation_input_tokens"`
	CacheRead  int64    `json:"cache_read_input_tokens"`
	Output     int64    `json:"output_tokens"`
	Details    *details `json:"output_tokens_details,omitempty"`
}

type details struct {
	Thinking int64 `json:"thinking_tokens"`
}

func count(u *chat.Usage) usage {
	out := usage{Input: u.Prompt, Output: u.Completion}
	if of := u.OfPrompt; of != nil {
		out.CacheRead, out.CacheWrite = of.Cached, of.CacheWrite
		out.Input = max(u.Prompt-of.Cached-of.CacheWrite, 0)
	}
	if of := u.OfAnswer; of != nil && of.Reasoning > 0 {
		out.Details = &details{of.Reasoning}
	}
	return out
}

// Usage returns what the provider has reported. What is translated on its way reports it in the last chunk only, which one whose client
// leaves never comes to.
func (a *answer) Usage() (input, output int64) {
	if a.inner != nil {
		return a.inner.Usage()
	}
	return a.usage.Prompt, a.usage.Completion
}

// Body translates a chat completion.
func (a *answer) Body(body []byte) ([]byte, error) {
	if a.inner != nil {
		var err error
		if body, err = a.inner.Body(body); err != nil {
			return nil, err
		}
	}
	var r reply
	switch {
	case !chat.Decode(body, &r):
		return nil, errNoMessage
	case r.Error != nil:
		return a.failed(body), nil
	case len(r.Choices) == 0:
		return nil, errNoMessage
	}
	m := a.head(&r)
	c := &r.Choices[0]
	if thoughts := c.Message.reasoning(); a.thoughts && thoughts != "" {
		m.Content = append(m.Content, thinkingBlock(thoughts))
	}
	if text := c.Message.Content + c.Message.Refusal; text != "" {
		m.Content = append(m.Content, textBlock(text))
	}
	for i, call := range c.Message.ToolCalls {
		input := strings.TrimSpace(call.Function.Arguments)
		if input == "" {
			input = "{}"
		}
		if call.Function.Name == "" || input[0] != '{' || !json.Valid([]byte(input)) {
			return nil, errNoCall
		}
		m.Content = append(m.Content, useBlock(a.callID(&call, i), call.Function.Name, []byte(input)))
	}
	if r.Usage != nil {
		a.usage = *r.Usage
	}
	reason, sequence := a.stopped(c, len(c.Message.ToolCalls) > 0, c.Message.Refusal != "")
	m.StopReason, m.StopSequence, m.Usage = &reason, sequence, count(&a.usage)
	return chat.Append(nil, m), nil
}

// head returns the message without what it says.
func (a *answer) head(r *reply) *message {
	h := chat.NewHead(a.call, r.ID, r.Model)
	return &message{ID: h.ID, Type: "message", Role: "assistant", Model: h.Model, Content: []block{}}
}

// callID returns the id of the message's n-th call.
func (a *answer) callID(c *chat.Call, n int) string {
	if c.ID == "" {
		return chat.CallID(a.call, 0, n)
	}
	return c.ID
}

// stopped returns Anthropic's word for why the model stopped, and the sequence at which it did; nil if that is not known.
func (a *answer) stopped(c *choice, called, refused bool) (reason string, sequence *string) {
	at, told := c.StopReason.(string)
	switch {
	case refused || c.FinishReason == "content_filter":
		return "refusal", nil
	case c.FinishReason == "length":
		return "max_tokens", nil
	case called: // some say "stop" all the same
		return "tool_use", nil
	case told && slices.Contains(a.stop, at):
		return "stop_sequence", &at
	default:
		return "end_turn", nil
	}
}

// failed returns the error that stands where an answer should be, whatever it is.
func (a *answer) failed(body []byte) []byte {
	if said := Said(0, body, a.call.ID); said != nil {
		return said
	}
	return envelope("api_error", unexplained, a.call.ID)
}

// TranslateError returns a provider's error in OpenAI's words: what it means is judged by these, and said to the client in Anthropic's after
// that (Said).
func (a *answer) TranslateError(status int, body []byte) adapter.ErrorResponse {
	if a.inner != nil {
		return a.inner.TranslateError(status, body)
	}
	return adapter.ErrorResponse{Status: status, Body: body}
}
