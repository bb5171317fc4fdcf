package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"time"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/sse"
)

// A Completion is a whole answer.
type Completion struct {
	Head
	Choices []Choice `json:"choices"`
	Usage   *Usage   `json:"usage,omitempty"`
}

// A Head is what a completion and every chunk of a stream begin with.
type Head struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // Unix seconds
	Model   string `json:"model"`
}

// A Choice is one of a completion's answers.
type Choice struct {
	Index        int       `json:"index"`
	Message      Reply     `json:"message"`
	Logprobs     *Logprobs `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

// A Reply is the message of a choice.
type Reply struct {
	Role      string  `json:"role"`
	Content   *string `json:"content"`
	Refusal   *string `json:"refusal"`
	Reasoning string  `json:"reasoning_content,omitempty"` // not OpenAI's, but what others who show it call it
	ToolCalls []Call  `json:"tool_calls,omitempty"`
}

// A Call is a call of a tool in an answer, or in a chunk a piece of one.
type Call struct {
	Index    *int          `json:"index,omitempty"` // in chunks
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function Function      `json:"function"`
	Extra    *ExtraContent `json:"extra_content,omitempty"`
}

// A Function is what a Call calls. Arguments are JSON in a string.
type Function struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// ExtraContent holds the signature that Gemini wants back with a call, where its own OpenAI-compatible API puts it
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
type ExtraContent struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

// NewCall returns a call. A signature that is not empty goes with it.
func NewCall(id, name, arguments, signature string) Call {
	c := Call{ID: id, Type: "function", Function: Function{name, arguments}}
	if signature != "" {
		c.Extra = &ExtraContent{}
		c.Extra.Google.ThoughtSignature = signature
	}
	return c
}

// Logprobs are the log probabilities of a choice's tokens.
type Logprobs struct {
	Content []Logprob  `json:"content"`
	Refusal *[]Logprob `json:"refusal"`
}

// A Logprob is the log probability of a token, and of those that were as likely.
type Logprob struct {
	Token   string     `json:"token"`
	Logprob float64    `json:"logprob"`
	Bytes   []int      `json:"bytes"`
	Top     *[]Logprob `json:"top_logprobs,omitempty"`
}

// Bytes returns a token's bytes as OpenAI writes them, a list of numbers.
func Bytes(token string) []int {
	out := make([]int, 0, len(token))
	for _, b := range []byte(token) {
		out = append(out, int(b))
	}
	return out
}

// Usage is what an answer took, in tokens. Prompt includes what was read from and written to caches, Completion includes
// reasoning.
type Usage struct {
	Prompt     int64              `json:"prompt_tokens"`
	Completion int64              `json:"completion_tokens"`
	Total      int64              `json:"total_tokens"`
	OfPrompt   *PromptDetails     `json:"prompt_tokens_details,omitempty"`
	OfAnswer   *CompletionDetails `json:"completion_tokens_details,omitempty"`
}

// PromptDetails are parts of Usage.Prompt.
type PromptDetails struct {
	Cached     int64 `json:"cached_tokens"`
	CacheWrite int64 `json:"cache_write_tokens,omitempty"`
}

// CompletionDetails are parts of Usage.Completion.
type CompletionDetails struct {
	Reasoning int64 `json:"reasoning_tokens"`
}

// NewUsage returns the usage with the details that are not zero.
func NewUsage(prompt, cached, written, completion, reasoning int64) *Usage {
	u := &Usage{Prompt: prompt, Completion: completion, Total: prompt + completion}
	if cached != 0 || written != 0 {
		u.OfPrompt = &PromptDetails{cached, written}
	}
	if reasoning != 0 {
		u.OfAnswer = &CompletionDetails{reasoning}
	}
	return u
}

// An Error is OpenAI's error, with the status that goes with it.
type Error struct {
	Status  int
	Type    string // such as invalid_request_error
	Code    string // "" is none
	Message string

	RetryAfter time.Duration // for which the provider asks to be left alone; 0 if it does not
}

// Refusal returns the error as a refusal.
func (e *Error) Refusal() adapter.ErrorResponse {
	return adapter.ErrorResponse{Status: e.Status, Body: e.Body(), RetryAfter: e.RetryAfter}
}

// Unexplained returns the refusal with the status of which the provider did not say in JSON what it is about: a page of HTML,
// or nothing. A server's error has no body: the gateway can say as much of it.
func Unexplained(status int) adapter.ErrorResponse {
	e := Error{Status: status, Type: TypeInvalid, Message: fmt.Sprintf("The provider refused the request with status %d, and did not say why.", status)}
	switch {
	case status >= 500:
		return adapter.ErrorResponse{Status: status, Page: true}
	case status == http.StatusTooManyRequests:
		e.Type, e.Code, e.Message = TypeRateLimit, "rate_limit_exceeded", "The provider has had too many requests; try again later."
	}
	r := e.Refusal()
	r.Page = true
	return r
}

// Types of OpenAI's errors.
const (
	TypeInvalid        = "invalid_request_error"
	TypeAuthentication = "authentication_error"
	TypePermission     = "permission_error"
	TypeRateLimit      = "rate_limit_error"
	TypeQuota          = "insufficient_quota"
	TypeServer         = "server_error"
)

// Body returns the error in OpenAI's envelope.
func (e *Error) Body() []byte {
	type fields struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	f := fields{Message: e.Message, Type: e.Type}
	if e.Code != "" {
		f.Code = &e.Code
	}
	return Append(nil, map[string]fields{"error": f})
}

// Event returns the error as an event of a stream.
func (e *Error) Event(dst []byte) []byte {
	return sse.Append(dst, "", e.Body())
}

// Append appends v as JSON. v holds nothing that cannot be written so.
func Append(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Decode fills v with a provider's JSON, as far as it fits: what has another type than expected is left out. It tells
// whether body is JSON.
func Decode(body []byte, v any) bool {
	err := json.Unmarshal(body, v)
	var mismatch *json.UnmarshalTypeError
	return err == nil || errors.As(err, &mismatch)
}

// Compact returns the JSON without the spaces between its parts.
func Compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}

// Described returns the schema with the description, if it has none of its own.
func Described(schema []byte, description string) []byte {
	var members map[string]json.RawMessage
	if description == "" || json.Unmarshal(schema, &members) != nil || members["description"] != nil {
		return schema
	}
	members["description"] = Append(nil, description)
	return Append(nil, members)
}

// NewHead returns the head of the response to a call; id and model are the provider's, and may be empty. Each chunk of a stream repeats them, so one
// is ignored that takes more than 256 bytes in JSON, escapes included.
func NewHead(c adapter.Call, id, model string) Head {
	const longest = 256 + len(`""`)
	h := Head{Object: "chat.completion", Created: c.Began.Unix()}
	if len(Append(nil, id)) <= longest {
		h.ID = id
	}
	if len(Append(nil, model)) <= longest {
		h.Model = model
	}
	if h.ID == "" {
		h.ID = "chatcmpl-" + c.ID
	}
	if h.Model == "" {
		h.Model = c.Model
	}
	return h
}

// CallID returns an id for the n-th call of a tool in a choice of the answer to c: one that differs from those of other
// answers, and is as short as OpenAI wants it.
func CallID(c adapter.Call, choice, n int) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, c.ID) // a hash takes everything
	return fmt.Sprintf("call_%016x_%d_%d", h.Sum64(), choice, n)
}
