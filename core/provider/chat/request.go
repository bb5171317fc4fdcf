// Package chat is OpenAI's side of a translation: its chat completions and embeddings, read strictly from requests and
// written strictly into answers (https://platform.openai.com/docs/api-reference/chat). It knows no other provider.
package chat

import (
	"context"
	"math"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/strictjson"
)

// A Request is a request for a chat completion, as far as it can be said in other words. Pointers are nil, and other
// fields zero, where the request says nothing.
type Request struct {
	Messages         []Message
	IncludeUsage     bool  // of a stream: an event with the usage is wanted
	MaxTokens        int64 // of the answer, reasoning included
	Temperature      *float64
	TopP             *float64
	FrequencyPenalty *float64
	PresencePenalty  *float64
	Seed             *int64
	Stop             []string
	N                int64 // how many choices
	Logprobs         bool
	TopLogprobs      int64
	User             string // the caller's own end user
	Tools            []Tool
	ToolChoice       ToolChoice
	Serial           bool // no parallel tool calls
	Format           Format
	Effort           string // of reasoning
	ServiceTier      string
}

// A Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Parameters  []byte // JSON Schema; nil if the function takes none
	Strict      bool
}

// A ToolChoice says which tools the model may or must call.
type ToolChoice struct {
	Mode  string   // "auto", "none", "required"; "" is not said
	Names []string // only these; empty is all
}

// A Format is the form that the answer must have.
type Format struct {
	Kind        string // "json_object", "json_schema"; "" is text
	Description string
	Schema      []byte // of json_schema
}

// Callable returns the tools that the choice allows to call, in their order.
func (r *Request) Callable() []Tool {
	if len(r.ToolChoice.Names) == 0 {
		return r.Tools
	}
	names := make(map[string]bool, len(r.ToolChoice.Names))
	for _, name := range r.ToolChoice.Names {
		names[name] = true
	}
	return slices.DeleteFunc(slices.Clone(r.Tools), func(t Tool) bool { return !names[t.Name] })
}

// ParseRequest reads a body, a JSON object, which must not change as long as the Request lives. It fails with a *adapter.ParamError if the body
// is no valid request, or has a parameter that only OpenAI's own API knows; and with ctx's cause if that ends.
func ParseRequest(ctx context.Context, body []byte) (*Request, error) {
	r := &Request{}
	if err := strictjson.Parse(ctx, body, r.member); err != nil {
		return nil, err
	}
	if len(r.Messages) == 0 {
		return nil, adapter.Invalid("messages", "must have at least one message.")
	}
	return r, nil
}

// member reads one of the request's parameters.
func (r *Request) member(key string, v strictjson.Value) {
	switch key {
	case "model", "stream": // the gateway has read them
	case "messages":
		v.Elements(func(v strictjson.Value) { r.Messages = append(r.Messages, message(v)) })
	case "stream_options":
		v.Members(r.streamOption)
	case "max_tokens":
		if r.MaxTokens == 0 {
			r.MaxTokens = v.Whole(1)
		}
	case "max_completion_tokens": // goes before its deprecated name
		r.MaxTokens = v.Whole(1)
	case "stop":
		r.Stop = texts(v, MaxStops)
	case "n":
		r.N = v.Whole(1)
	case "user":
		if r.User == "" {
			r.User = v.Text()
		}
	case "safety_identifier": // goes before its deprecated name
		r.User = v.Text()
	case "tools":
		v.Elements(func(v strictjson.Value) { r.Tools = append(r.Tools, tool(v)) })
	case "tool_choice":
		r.ToolChoice = toolChoice(v)
	case "parallel_tool_calls":
		r.Serial = !v.Flag()
	case "response_format":
		r.Format = format(v)
	case "reasoning_effort":
		r.Effort = v.Text()
		if !slices.Contains([]string{"none", "minimal", "low", "medium", "high", "xhigh"}, r.Effort) {
			v.Fail("must be none, minimal, low, medium, high or xhigh.")
		}
	case "service_tier":
		r.ServiceTier = v.Text()
	default:
		r.sampling(key, v)
	}
}

// sampling reads a parameter that says how tokens are chosen.
func (r *Request) sampling(key string, v strictjson.Value) {
	switch key {
	case "temperature":
		r.Temperature = v.Within(0, 2)
	case "top_p":
		r.TopP = v.Within(0, 1)
	case "frequency_penalty":
		r.FrequencyPenalty = penalty(v)
	case "presence_penalty":
		r.PresencePenalty = penalty(v)
	case "seed":
		seed := v.Whole(math.MinInt64)
		r.Seed = &seed
	case "logprobs":
		r.Logprobs = v.Flag()
	case "top_logprobs":
		r.TopLogprobs = v.Whole(0)
	default:
		foreign(key, v)
	}
}

// foreign refuses a parameter that nobody but OpenAI knows, unless it says what is done without it.
func foreign(key string, v strictjson.Value) {
	switch key {
	case "store", "moderation":
		v.Only("false")
	case "metadata", "logit_bias":
		v.Only("{}")
	case "modalities":
		v.Elements(func(v strictjson.Value) { v.Only(`"text"`) })
	case "verbosity":
		v.Only(`"medium"`)
	case "functions", "function_call":
		v.Fail("is deprecated and cannot be translated; use tools and tool_choice.")
	default:
		v.Unsupported()
	}
}

func (r *Request) streamOption(key string, v strictjson.Value) {
	switch key {
	case "include_usage":
		r.IncludeUsage = v.Flag()
	case "include_obfuscation": // pads OpenAI's own events
		v.Flag()
	default:
		v.Unsupported()
	}
}

// penalty returns a penalty; nil if it is 0, which is none.
func penalty(v strictjson.Value) *float64 {
	if p := v.Within(-2, 2); *p != 0 {
		return p
	}
	return nil
}

// MaxStops is how many stop sequences a chat completion takes.
const MaxStops = 4

// texts returns one string or several, of which there may be most.
func texts(v strictjson.Value, most int) []string {
	if v.Type == gjson.String {
		return []string{v.Text()}
	}
	return v.Texts(most)
}
