package gemini

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

var errNoContent = errors.New("gemini: the answer has no content")

// An answer translates content, or the stream of it.
type answer struct {
	call   adapter.Call
	chunks chat.Chunks
	usage  usage
	named  bool // chunks have the provider's head
}

var _ adapter.ResponseTranslator = (*answer)(nil)

// A reply is content as the API answers it, whole or as an event of a stream, or an error.
type reply struct {
	ID         string      `json:"responseId"`
	Model      string      `json:"modelVersion"`
	Candidates []candidate `json:"candidates"`
	Usage      usage       `json:"usageMetadata"`
	Feedback   struct {
		BlockReason string `json:"blockReason"`
	} `json:"promptFeedback"`
	Error *fault `json:"error"`
}

type candidate struct {
	Index        int       `json:"index"`
	Content      content   `json:"content"`
	FinishReason string    `json:"finishReason"`
	Logprobs     *logprobs `json:"logprobsResult"`
}

type usage struct {
	Prompt     int64 `json:"promptTokenCount"`
	ToolPrompt int64 `json:"toolUsePromptTokenCount"`
	Cached     int64 `json:"cachedContentTokenCount"` // of Prompt
	Candidates int64 `json:"candidatesTokenCount"`
	Thoughts   int64 `json:"thoughtsTokenCount"` // not of Candidates
}

func (u *usage) translate() *chat.Usage {
	return chat.NewUsage(u.Prompt+u.ToolPrompt, u.Cached, 0, u.Candidates+u.Thoughts, u.Thoughts)
}

// fault returns the error that the reply is; nil if it is none.
func (r *reply) fault() *chat.Error {
	if r.Error != nil {
		return r.Error.translate(0)
	}
	if r.Feedback.BlockReason != "" {
		return &chat.Error{
			Type: chat.TypeInvalid, Code: "content_filter", Message: fmt.Sprintf("The provider blocked the prompt: %s.", r.Feedback.BlockReason),
		}
	}
	for _, c := range r.Candidates {
		if failed(c.FinishReason) {
			return &chat.Error{Type: chat.TypeServer, Code: strings.ToLower(c.FinishReason), Message: "The model failed to call a tool."}
		}
	}
	return nil
}

// failed tells whether the reason is that the model made something that is of no use.
func failed(reason string) bool {
	return slices.Contains([]string{"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}, reason)
}

// finish returns OpenAI's word for why the model stopped, having made so many calls.
func finish(reason string, calls int) string {
	switch reason {
	case "MAX_TOKENS":
		return "length"
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER",
		"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE":
		return "content_filter"
	case "STOP":
		if calls > 0 {
			return "tool_calls"
		}
	}
	return "stop"
}

// Usage returns what the provider has reported.
func (a *answer) Usage() (input, output int64) {
	u := a.usage.translate()
	return u.Prompt, u.Completion
}

// Body translates content.
func (a *answer) Body(body []byte) ([]byte, error) {
	var r reply
	if !chat.Decode(body, &r) {
		return nil, errNoContent
	}
	if e := r.fault(); e != nil {
		return e.Body(), nil
	}
	if len(r.Candidates) == 0 {
		return nil, errNoContent
	}
	a.usage = r.Usage
	out := chat.Completion{Head: chat.NewHead(a.call, r.ID, r.Model), Usage: r.Usage.translate()}
	for i := range min(len(r.Candidates), chat.MaxChoices) {
		c := &r.Candidates[i]
		message := a.reply(c)
		out.Choices = append(out.Choices, chat.Choice{
			Index: c.Index, Message: message, Logprobs: c.Logprobs.translate(), FinishReason: finish(c.FinishReason, len(message.ToolCalls)),
		})
	}
	return chat.Append(nil, out), nil
}

// reply translates a candidate's content.
func (a *answer) reply(c *candidate) chat.Reply {
	reasoning, text, calls := a.parts(c, 0)
	out := chat.Reply{Role: "assistant", Reasoning: reasoning, ToolCalls: calls}
	if text != "" || len(calls) == 0 {
		out.Content = &text
	}
	return out
}

// parts returns what a candidate's parts contain together. first is the number of calls that the candidate had before.
func (a *answer) parts(c *candidate, first int) (reasoning, text string, calls []chat.Call) {
	var texts, thoughts strings.Builder
	for _, p := range c.Content.Parts {
		switch {
		case p.FunctionCall != nil:
			calls = append(calls, a.toolCall(&p, c.Index, first+len(calls)))
		case p.Thought:
			thoughts.WriteString(p.Text)
		default:
			texts.WriteString(p.Text)
		}
	}
	return thoughts.String(), texts.String(), calls
}

// toolCall returns the n-th call of a choice. One without an id gets one that no other call of the conversation has.
func (a *answer) toolCall(p *part, choice, n int) chat.Call {
	id := p.FunctionCall.ID
	if id == "" {
		id = chat.CallID(a.call, choice, n)
	}
	arguments := "{}"
	if args := p.FunctionCall.Args; len(args) > 0 && string(args) != "null" {
		arguments = chat.Compact(args)
	}
	return chat.NewCall(id, p.FunctionCall.Name, arguments, p.Signature)
}

// Event translates an event, which is a piece of the content.
func (a *answer) Event(dst, data []byte) ([]byte, bool) {
	var r reply
	if !chat.Decode(data, &r) {
		return dst, false
	}
	if e := r.fault(); e != nil {
		return e.Event(dst), true
	}
	if !a.named {
		a.chunks.Head, a.named = chat.NewHead(a.call, r.ID, r.Model), true
	}
	if r.Usage != (usage{}) { // each tells it as it is so far
		a.usage = r.Usage
	}
	for i := range min(len(r.Candidates), chat.MaxChoices) {
		dst = a.add(dst, &r.Candidates[i])
	}
	return dst, true
}

// add appends one chunk for a candidate's parts, however many they are: each chunk repeats the head. A second one has the finish reason.
func (a *answer) add(dst []byte, c *candidate) []byte {
	reasoning, text, calls := a.parts(c, a.chunks.Calls(c.Index))
	dst = a.chunks.Parts(dst, c.Index, reasoning, text, calls, c.Logprobs.translate())
	if c.FinishReason == "" || c.FinishReason == "FINISH_REASON_UNSPECIFIED" {
		return dst
	}
	return a.chunks.Finish(dst, c.Index, finish(c.FinishReason, a.chunks.Calls(c.Index)))
}

// End says that the content is whole, if it is. A stream of Gemini's has no terminal of its own.
func (a *answer) End(dst []byte, _ bool) []byte { return a.chunks.End(dst, a.usage.translate()) }

// logprobs are the log probabilities of a candidate's tokens, and of those that were as likely.
type logprobs struct {
	Chosen []logprob `json:"chosenCandidates"`
	Top    []struct {
		Candidates []logprob `json:"candidates"`
	} `json:"topCandidates"`
}

type logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logProbability"`
}

func (l logprob) translate() chat.Logprob {
	return chat.Logprob{Token: l.Token, Logprob: l.Logprob, Bytes: chat.Bytes(l.Token)}
}

func (l *logprobs) translate() *chat.Logprobs {
	if l == nil {
		return nil
	}
	out := &chat.Logprobs{Content: []chat.Logprob{}}
	for i, chosen := range l.Chosen {
		top := []chat.Logprob{}
		if i < len(l.Top) {
			for _, t := range l.Top[i].Candidates {
				top = append(top, t.translate())
			}
		}
		token := chosen.translate()
		token.Top = &top
		out.Content = append(out.Content, token)
	}
	return out
}
