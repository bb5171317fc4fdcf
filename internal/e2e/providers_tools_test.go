package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/internal/fakeprovider"
)

// A transcript is a chat as its client has it, typed.
type transcript struct {
	Rounds [][]toolCall
	Text   string
	Reason string
}

type toolCall struct {
	Name      string
	Arguments struct {
		Round int
		City  string
	}
}

// testTools has two rounds of parallel calls of tools through each type, plain and streamed, and with each answer from another type than
// the one before: all give the client the same. talk is such a conversation with a model, which calls before, if it is not nil, before
// each round; reason is why the first one ends.
func testTools(t *testing.T, h *deployment, reason string, talk func(model string, stream bool, before func(round int)) transcript) {
	t.Helper()
	var want transcript
	for i, typ := range provider.Types() {
		for _, stream := range []bool{false, true} {
			got := talk(typ, stream, nil)
			if i == 0 && !stream {
				want = got
				if len(want.Rounds) != fakeprovider.Rounds || len(want.Rounds[1]) != 2 || want.Rounds[1][1].Arguments.City != `München "\1"` || want.Reason != reason {
					t.Fatalf("%+v", want)
				}
			}
			sameTranscript(t, fmt.Sprintf("%s, stream %v", typ, stream), got, want)
			got = talk("relay-"+typ, stream, func(round int) { h.down(typ, round) })
			h.down(typ, 0)
			sameTranscript(t, fmt.Sprintf("from %s on, stream %v", typ, stream), got, want)
		}
	}
}

// down takes down so many providers in turn, from that of the type on, and no others.
func (h *deployment) down(typ string, count int) {
	types := provider.Types()
	from := slices.Index(types, typ)
	for i := range types {
		h.providers[types[(from+i)%len(types)]].Down.Store(i < count)
	}
}

func sameTranscript(t *testing.T, what string, got, want transcript) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n%s\nwant\n%s", what, g, w)
	}
}

// talk chats with the model until it calls no more tools; before each request it calls before, if that is not nil.
func talk(t *testing.T, client openai.Client, model string, stream bool, before func(round int)) transcript {
	t.Helper()
	object := shared.FunctionParameters{"type": "object", "properties": map[string]any{"round": map[string]any{"type": "integer"}, "city": map[string]any{"type": "string"}}}
	params := openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Weather and time?")}, Tools: []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather", Parameters: object}),
		openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "now", Parameters: object}),
	}}
	var out transcript
	for round := range fakeprovider.Rounds + 2 {
		if before != nil {
			before(round)
		}
		choice := ask(t, client, params, stream)
		params.Messages = append(params.Messages, choice.Message.ToParam())
		var calls []toolCall
		for _, c := range choice.Message.ToolCalls {
			call := toolCall{Name: c.Function.Name}
			if err := json.Unmarshal([]byte(c.Function.Arguments), &call.Arguments); err != nil {
				t.Fatalf("%v: %s", err, c.Function.Arguments)
			}
			calls = append(calls, call)
			result := fmt.Sprintf(`{"of":%q,"round":%d}`, c.Function.Name, round)
			if c.Function.Name == "now" {
				result = "noon, or so"
			}
			params.Messages = append(params.Messages, openai.ToolMessage(result, c.ID))
		}
		if calls == nil {
			out.Text, out.Reason = choice.Message.Content, choice.FinishReason
			return out
		}
		if choice.FinishReason != "tool_calls" {
			t.Errorf("%s after calls", choice.FinishReason)
		}
		out.Rounds = append(out.Rounds, calls)
	}
	t.Fatalf("%s calls tools without an end", model)
	return out
}

func ask(t *testing.T, client openai.Client, params openai.ChatCompletionNewParams, stream bool) openai.ChatCompletionChoice {
	t.Helper()
	if !stream {
		c, err := client.Chat.Completions.New(context.Background(), params)
		if err != nil {
			t.Fatal(err)
		}
		return c.Choices[0]
	}
	s := client.Chat.Completions.NewStreaming(context.Background(), params)
	var all openai.ChatCompletionAccumulator
	for s.Next() {
		all.AddChunk(s.Current())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return all.Choices[0]
}
