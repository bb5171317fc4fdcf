package anthropic

import (
	"encoding/json"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// A request is what a message is asked for with.
type request struct {
	Model         string        `json:"model"`
	MaxTokens     int64         `json:"max_tokens"`
	System        []block       `json:"system,omitempty"`
	Messages      []message     `json:"messages"`
	Stream        bool          `json:"stream,omitempty"`
	Temperature   *float64      `json:"temperature,omitempty"`
	TopP          *float64      `json:"top_p,omitempty"`
	StopSequences []string      `json:"stop_sequences,omitempty"`
	Tools         []tool        `json:"tools,omitempty"`
	ToolChoice    *toolChoice   `json:"tool_choice,omitempty"`
	Thinking      *thinking     `json:"thinking,omitempty"`
	OutputConfig  *outputConfig `json:"output_config,omitempty"`
	Metadata      *metadata     `json:"metadata,omitempty"`
	ServiceTier   string        `json:"service_tier,omitempty"`
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
	Strict      bool            `json:"strict,omitempty"`
}

type toolChoice struct {
	Type   string `json:"type"`
	Name   string `json:"name,omitempty"`
	Serial bool   `json:"disable_parallel_tool_use,omitempty"`
}

type thinking struct {
	Type   string `json:"type"`
	Budget int64  `json:"budget_tokens,omitempty"`
}

type outputConfig struct {
	Effort string  `json:"effort,omitempty"`
	Format *format `json:"format,omitempty"`
}

type format struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

// translate says in Anthropic's words what in says.
func translate(c adapter.Call, in *chat.Request) (*request, error) {
	if err := unsupported(in); err != nil {
		return nil, err
	}
	out := &request{
		Model: c.Model, MaxTokens: in.MaxTokens, Stream: c.Stream, Temperature: in.Temperature, TopP: in.TopP,
		StopSequences: in.Stop, ToolChoice: choice(in),
	}
	if out.MaxTokens == 0 {
		out.MaxTokens = maxTokens(c.Model)
	}
	if in.User != "" {
		out.Metadata = &metadata{in.User}
	}
	if in.ServiceTier == "default" {
		out.ServiceTier = "standard_only"
	}
	if in.Format.Kind == "json_schema" {
		out.OutputConfig = &outputConfig{Format: &format{"json_schema", chat.Described(in.Format.Schema, in.Format.Description)}}
	}
	for _, t := range in.Callable() {
		out.Tools = append(out.Tools, declare(t))
	}
	var err error
	if out.System, out.Messages, err = conversation(in.Messages); err != nil {
		return nil, err
	}
	return out, out.think(in)
}

// unsupported refuses what a message cannot be asked for with.
func unsupported(in *chat.Request) error {
	switch {
	case in.N > 1:
		return adapter.Unsupported("n")
	case in.Temperature != nil && *in.Temperature > 1:
		return adapter.Invalid("temperature", "must be at most 1 for the provider of this model.")
	case in.FrequencyPenalty != nil:
		return adapter.Unsupported("frequency_penalty")
	case in.PresencePenalty != nil:
		return adapter.Unsupported("presence_penalty")
	case in.Seed != nil:
		return adapter.Unsupported("seed")
	case in.Logprobs:
		return adapter.Unsupported("logprobs")
	case in.TopLogprobs > 0:
		return adapter.Unsupported("top_logprobs")
	case in.Format.Kind == "json_object":
		return &adapter.ParamError{
			Param: "response_format", Code: adapter.CodeUnsupported,
			Message: "The provider of this model knows no response_format json_object; send a json_schema.",
		}
	case in.ServiceTier != "" && in.ServiceTier != "auto" && in.ServiceTier != "default":
		return adapter.Unsupported("service_tier")
	}
	return nil
}

func declare(t chat.Tool) tool {
	if t.Parameters == nil || chat.Compact(t.Parameters) == "{}" { // the API wants a type
		t.Parameters = []byte(`{"type":"object","properties":{}}`)
	}
	return tool{t.Name, t.Description, t.Parameters, t.Strict}
}

// choice returns the choice of tools; nil if it is left to the model. (Of several names, tools are declared to no others.)
func choice(in *chat.Request) *toolChoice {
	if len(in.Tools) == 0 {
		return nil
	}
	c := toolChoice{Type: in.ToolChoice.Mode, Serial: in.Serial && in.ToolChoice.Mode != "none"}
	switch {
	case c.Type == "required" && len(in.ToolChoice.Names) == 1:
		c.Type, c.Name = "tool", in.ToolChoice.Names[0]
	case c.Type == "required":
		c.Type = "any"
	case c.Type == "" && c.Serial:
		c.Type = "auto"
	case c.Type == "":
		return nil
	}
	return &c
}

// budgets are how many tokens a model thinks at most that counts them, by OpenAI's efforts.
func budgets(effort string) int64 {
	switch effort {
	case "medium":
		return 8192
	case "high":
		return 24_576
	case "xhigh":
		return 31_999
	default:
		return leastBudget
	}
}

// leastBudget is the least that the API takes.
const leastBudget = 1024

// think says how much to think.
func (r *request) think(in *chat.Request) error {
	switch how := thinks(r.Model); {
	case in.Effort == "" || in.Effort == "none" && how != adaptive:
	case how == unable:
		return adapter.Unsupported("reasoning_effort")
	case in.Effort == "none":
		r.Thinking = &thinking{Type: "disabled"}
	case how == adaptive:
		r.Thinking = &thinking{Type: "adaptive"}
		if r.OutputConfig == nil {
			r.OutputConfig = &outputConfig{}
		}
		r.OutputConfig.Effort = in.Effort
		if in.Effort == "minimal" {
			r.OutputConfig.Effort = "low"
		}
	case in.Messages[len(in.Messages)-1].Role == "tool":
		// Such a model goes on thinking only with the thoughts that came before the call, which OpenAI's API has no place for.
	case r.MaxTokens <= leastBudget:
		return adapter.Invalid("max_completion_tokens", "must be more than %d where the model is to reason.", leastBudget)
	default:
		r.Thinking = &thinking{"enabled", min(budgets(in.Effort), max(leastBudget, r.MaxTokens*3/4))} // the rest is for the answer
	}
	return nil
}
