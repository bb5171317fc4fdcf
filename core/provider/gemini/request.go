package gemini

import (
	"encoding/json"
	"slices"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// A request is what content is asked for with.
type request struct {
	SystemInstruction *content    `json:"systemInstruction,omitempty"`
	Contents          []content   `json:"contents"`
	Tools             []tools     `json:"tools,omitempty"`
	ToolConfig        *toolConfig `json:"toolConfig,omitempty"`
	GenerationConfig  config      `json:"generationConfig,omitzero"`
}

type tools struct {
	FunctionDeclarations []declaration `json:"functionDeclarations"`
}

type declaration struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parametersJsonSchema,omitempty"`
}

type toolConfig struct {
	Calling calling `json:"functionCallingConfig"`
}

type calling struct {
	Mode    string   `json:"mode"`
	Allowed []string `json:"allowedFunctionNames,omitempty"`
}

type config struct {
	Temperature      *float64        `json:"temperature,omitempty"`
	TopP             *float64        `json:"topP,omitempty"`
	MaxOutputTokens  int64           `json:"maxOutputTokens,omitempty"`
	StopSequences    []string        `json:"stopSequences,omitempty"`
	CandidateCount   int64           `json:"candidateCount,omitempty"`
	Seed             *int64          `json:"seed,omitempty"`
	PresencePenalty  *float64        `json:"presencePenalty,omitempty"`
	FrequencyPenalty *float64        `json:"frequencyPenalty,omitempty"`
	ResponseLogprobs bool            `json:"responseLogprobs,omitempty"`
	Logprobs         int64           `json:"logprobs,omitempty"`
	ResponseMIMEType string          `json:"responseMimeType,omitempty"`
	ResponseSchema   json.RawMessage `json:"responseJsonSchema,omitempty"`
	Thinking         *thinking       `json:"thinkingConfig,omitempty"`
}

// translate says in Gemini's words what in says.
func translate(c adapter.Call, in *chat.Request) (*request, error) {
	switch {
	case in.Serial && len(in.Tools) > 0:
		return nil, adapter.Unsupported("parallel_tool_calls")
	case in.ServiceTier != "" && in.ServiceTier != "auto" && in.ServiceTier != "default":
		return nil, adapter.Unsupported("service_tier")
	}
	out := &request{ToolConfig: choice(in), GenerationConfig: config{
		Temperature: in.Temperature, TopP: in.TopP, MaxOutputTokens: in.MaxTokens, StopSequences: in.Stop, Seed: in.Seed,
		PresencePenalty: in.PresencePenalty, FrequencyPenalty: in.FrequencyPenalty,
		ResponseLogprobs: in.Logprobs, Logprobs: in.TopLogprobs,
	}}
	if in.N > 1 {
		out.GenerationConfig.CandidateCount = in.N
	}
	if in.Format.Kind != "" {
		out.GenerationConfig.ResponseMIMEType = "application/json"
		out.GenerationConfig.ResponseSchema = chat.Described(in.Format.Schema, in.Format.Description)
	}
	if in.Effort != "" {
		out.GenerationConfig.Thinking = think(c.Model, in.Effort)
		if out.GenerationConfig.Thinking == nil && (in.Effort != "none" || !early.MatchString(c.Model)) {
			return nil, adapter.Unsupported("reasoning_effort")
		}
	}
	if declared := declare(in); len(declared) > 0 {
		out.Tools = []tools{{declared}}
	}
	var err error
	out.SystemInstruction, out.Contents, err = conversation(c.Model, in.Messages)
	return out, err
}

// declare returns the functions that may be called.
func declare(in *chat.Request) []declaration {
	var out []declaration
	for _, t := range in.Callable() {
		out = append(out, declaration{t.Name, t.Description, t.Parameters})
	}
	return out
}

// choice returns the choice of tools; nil if it is left to the model.
func choice(in *chat.Request) *toolConfig {
	strict := slices.ContainsFunc(in.Tools, func(t chat.Tool) bool { return t.Strict })
	switch mode := in.ToolChoice.Mode; {
	case len(in.Tools) == 0:
		return nil
	case mode == "required":
		return &toolConfig{calling{"ANY", in.ToolChoice.Names}}
	case mode == "none":
		return &toolConfig{calling{Mode: "NONE"}}
	case strict: // calls that keep to the schema
		return &toolConfig{calling{Mode: "VALIDATED"}}
	default:
		return nil
	}
}
