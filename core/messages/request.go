package messages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
	"github.com/berrygate/berry/core/provider/strictjson"
)

// A request is what a chat completion is asked for with, and what its answer must know of the message that was asked for.
type request struct {
	Model         string         `json:"model"`
	Messages      []chatMessage  `json:"messages"`
	MaxTokens     int64          `json:"max_completion_tokens"`
	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *streamOptions `json:"stream_options,omitempty"`
	Temperature   *float64       `json:"temperature,omitempty"`
	TopP          *float64       `json:"top_p,omitempty"`
	Stop          []string       `json:"stop,omitempty"`
	Tools         []chatTool     `json:"tools,omitempty"`
	ToolChoice    any            `json:"tool_choice,omitempty"` // a word, or namedTool
	Parallel      *bool          `json:"parallel_tool_calls,omitempty"`
	Effort        string         `json:"reasoning_effort,omitempty"`
	Format        *format        `json:"response_format,omitempty"`
	User          string         `json:"user,omitempty"`
	ServiceTier   string         `json:"service_tier,omitempty"`

	system   []part
	thoughts bool // are to be shown
	prefill  *strictjson.Place
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type format struct {
	Type   string `json:"type"`
	Schema schema `json:"json_schema"`
}

type schema struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict"`
}

// parse reads the body of a message's request as that of a chat completion. It fails with a *adapter.ParamError if the body is no valid
// request, or asks for what a chat completion has no place for.
func parse(ctx context.Context, c adapter.Call, body []byte) (*request, error) {
	r := &request{Model: c.Model, Stream: c.Stream}
	if c.Stream {
		r.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	if err := strictjson.Parse(ctx, body, r.member); err != nil {
		return nil, err
	}
	switch {
	case r.MaxTokens == 0:
		return nil, adapter.Invalid("max_tokens", "must say how long the answer may be, in tokens.")
	case len(r.Messages) == 0:
		return nil, adapter.Invalid("messages", "must have at least one message.")
	case r.prefill != nil:
		return nil, adapter.Unsupported(r.prefill.String()) // it would be answered, not continued
	}
	if len(r.system) > 0 {
		r.Messages = append([]chatMessage{{Role: "system", Content: content(r.system)}}, r.Messages...)
	}
	return r, nil
}

// member reads one of the request's parameters.
func (r *request) member(key string, v strictjson.Value) {
	switch key {
	case "model", "stream": // the gateway has read them
	case "cache_control": // a hint, which changes no answer
	case "messages":
		v.Elements(r.message)
	case "system":
		r.system = texts(v)
	case "max_tokens":
		r.MaxTokens = v.Whole(1)
	case "stop_sequences":
		r.Stop = v.Texts(chat.MaxStops)
	case "temperature":
		r.Temperature = v.Within(0, 1)
	case "top_p":
		r.TopP = v.Within(0, 1)
	case "tools":
		v.Elements(func(v strictjson.Value) { r.Tools = append(r.Tools, tool(v)) })
	case "tool_choice":
		v.Members(r.choice)
	case "thinking":
		r.thinking(v)
	case "output_config":
		v.Members(r.output)
	case "metadata":
		v.Members(r.metadata)
	case "service_tier":
		r.tier(v)
	case "context_management":
		v.Members(management)
	default:
		v.Unsupported()
	}
}

// metadata reads what is said of the caller. OpenAI takes a name of 64 characters; a longer one becomes its digest, for nobody but the
// caller is to know it by its name anyway.
func (r *request) metadata(key string, v strictjson.Value) {
	const longest = 64
	if key != "user_id" {
		v.Unsupported()
		return
	}
	if r.User = v.Text(); len(r.User) > longest {
		digest := sha256.Sum256([]byte(r.User))
		r.User = hex.EncodeToString(digest[:])
	}
}

func (r *request) tier(v strictjson.Value) {
	switch v.Text() {
	case "auto":
	case "standard_only":
		r.ServiceTier = "default"
	default:
		v.Unsupported()
	}
}

// management reads what the provider is to forget. Thoughts are not told again anyway.
func management(key string, v strictjson.Value) {
	if key != "edits" {
		v.Unsupported()
		return
	}
	v.Elements(func(v strictjson.Value) {
		if !strings.HasPrefix(v.Get("type").Str, "clear_thinking_") {
			v.Unsupported()
		}
	})
}

// thinking reads how much to think. A number of tokens becomes the effort for which as many are allowed in the other direction; what the
// model decides by itself, and not to think, leave the effort to the model: many that do not think take no word of it.
func (r *request) thinking(v strictjson.Value) {
	kind, shown := v.Get("type").Str, true
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type":
			if kind != "enabled" && kind != "disabled" && kind != "adaptive" {
				v.Unsupported()
			}
		case "budget_tokens":
			if n := v.Whole(1); r.Effort == "" {
				r.Effort = effort(n)
			}
		case "display":
			shown = v.Text() != "omitted"
		default:
			v.Unsupported()
		}
	})
	if r.thoughts = shown && kind != "disabled"; kind == "enabled" && r.Effort == "" {
		v.Fail("must have budget_tokens.")
	}
}

// effort returns OpenAI's word for so many tokens of thoughts.
func effort(budget int64) string {
	switch {
	case budget < 8192:
		return "low"
	case budget < 24_576:
		return "medium"
	default:
		return "high"
	}
}

func (r *request) output(key string, v strictjson.Value) {
	switch key {
	case "effort":
		switch r.Effort = v.Text(); r.Effort {
		case "low", "medium", "high", "xhigh":
		case "max":
			r.Effort = "xhigh"
		default:
			v.Unsupported()
		}
	case "format":
		v.Members(func(key string, v strictjson.Value) {
			switch key {
			case "type":
				v.Only(`"json_schema"`)
			case "schema":
				r.Format = &format{"json_schema", schema{"answer", v.Object(), true}}
			default:
				v.Unsupported()
			}
		})
	default:
		v.Unsupported()
	}
}

// A chatTool is a function that the model may call.
type chatTool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      bool            `json:"strict,omitempty"`
}

// A namedTool is the choice of a tool.
type namedTool struct {
	Type     string `json:"type"`
	Function struct {
		Name string `json:"name"`
	} `json:"function"`
}

func tool(v strictjson.Value) chatTool {
	t := chatTool{Type: "function"}
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type":
			v.Only(`"custom"`) // others are the provider's own
		case "name":
			t.Function.Name = v.Text()
		case "description":
			t.Function.Description = v.Text()
		case "input_schema":
			t.Function.Parameters = v.Object()
		case "strict":
			t.Function.Strict = v.Flag()
		case "defer_loading":
			v.Only("false")
		case "allowed_callers":
			v.Only(`["direct"]`)
		case "cache_control", "eager_input_streaming": // hints
		default:
			v.Unsupported()
		}
	})
	if t.Function.Name == "" {
		v.Fail("must have a name.")
	}
	return t
}

// choice reads a member of the choice of tools.
func (r *request) choice(key string, v strictjson.Value) {
	switch key {
	case "type":
		switch kind := v.Text(); kind {
		case "auto", "none":
			r.ToolChoice = kind
		case "any":
			r.ToolChoice = "required"
		case "tool": // its name says so
		default:
			v.Unsupported()
		}
	case "name":
		named := namedTool{Type: "function"}
		named.Function.Name = v.Text()
		r.ToolChoice = named
	case "disable_parallel_tool_use":
		if v.Flag() {
			r.Parallel = new(bool)
		}
	default:
		v.Unsupported()
	}
}

// body returns the request's JSON.
func (r *request) body() []byte { return chat.Append(nil, r) }
