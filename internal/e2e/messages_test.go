package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// anthropicClient returns Anthropic's client for Go.
func anthropicClient(h *deployment, token string) anthropic.Client {
	return anthropic.NewClient(option.WithoutEnvironmentDefaults(), option.WithBaseURL(strings.TrimSuffix(h.url, "/v1")), option.WithAPIKey(token), option.WithMaxRetries(0))
}

// Anthropic's client for Go works the same with every type of provider.
func TestAnthropicGo(t *testing.T) {
	h := serveTypes(t)
	client := anthropicClient(h, gatewaytest.Token)
	for _, typ := range provider.Types() {
		t.Run(typ, func(t *testing.T) {
			t.Run("message", func(t *testing.T) { testMessage(t, client, typ) })
			t.Run("stream", func(t *testing.T) { testMessageStream(t, client, typ) })
			t.Run("structured", func(t *testing.T) { testMessageStructured(t, client, typ) })
			t.Run("count_tokens", func(t *testing.T) { testCountTokens(t, client, typ) })
		})
	}
	t.Run("tools", func(t *testing.T) {
		testTools(t, h, "end_turn", func(model string, stream bool, before func(int)) transcript {
			return converse(t, client, model, stream, before)
		})
	})
	t.Run("models", func(t *testing.T) { testAnthropicModels(t, client) })
	t.Run("errors", func(t *testing.T) { testAnthropicErrors(t, h, client) })
}

func says(model string, blocks ...anthropic.ContentBlockParamUnion) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{Model: model, MaxTokens: 1000, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(blocks...)}}
}

func testMessage(t *testing.T, client anthropic.Client, model string) {
	params := says(model, anthropic.NewTextBlock("What are these?"), anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: "https://example.com/ant.png"}), anthropic.NewImageBlockBase64("image/png", "iVBORw0KGgo="))
	params.System = []anthropic.TextBlockParam{{Text: "Be brief."}}
	params.Temperature = anthropic.Float(0.5)
	m, err := client.Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	const want = "system: Be brief.|user: What are these?|image: https://example.com/ant.png|image: data:image/png;base64,iVBORw0KGgo="
	if len(m.Content) != 1 || m.Content[0].Text != want || m.StopReason != anthropic.StopReasonEndTurn || m.Usage.InputTokens != 10 || m.Usage.OutputTokens != 5 || m.Role != "assistant" {
		t.Errorf("%s", m.RawJSON())
	}
}

func testMessageStream(t *testing.T, client anthropic.Client, model string) {
	m, events := accumulated(t, client, says(model, anthropic.NewTextBlock("Grüße, 世界! \"<&>\"")))
	if events < 8 || m.Content[0].Text != "user: Grüße, 世界! \"<&>\"" || m.StopReason != anthropic.StopReasonEndTurn || m.Usage.InputTokens != 10 || m.Usage.OutputTokens != 5 {
		t.Errorf("%d events, %s", events, m.RawJSON())
	}
}

// accumulated returns the message that is streamed, and of how many events it was made.
func accumulated(t *testing.T, client anthropic.Client, params anthropic.MessageNewParams) (m anthropic.Message, events int) {
	t.Helper()
	s := client.Messages.NewStreaming(t.Context(), params)
	for s.Next() {
		events++
		if err := m.Accumulate(s.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return m, events
}

func testMessageStructured(t *testing.T, client anthropic.Client, model string) {
	params := says(model, anthropic.NewTextBlock("Hi!"))
	schema := map[string]any{"type": "object", "properties": map[string]any{"said": map[string]any{"type": "string"}}, "required": []string{"said"}, "additionalProperties": false}
	params.OutputConfig = anthropic.OutputConfigParam{Format: anthropic.JSONOutputFormatParam{Schema: schema}}
	m, err := client.Messages.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Said string }
	if err := json.Unmarshal([]byte(m.Content[0].Text), &out); err != nil || out.Said != "user: Hi!" {
		t.Errorf("%v: %s", err, m.RawJSON())
	}
}

// Tokens are counted by providers that can.
func testCountTokens(t *testing.T, client anthropic.Client, model string) {
	n, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: model, Messages: says(model, anthropic.NewTextBlock("Hi!")).Messages})
	if model == "anthropic" {
		if err != nil || n.InputTokens != 1 {
			t.Errorf("%+v, %v", n, err)
		}
		return
	}
	refusedWith(t, err, 400, "invalid_request_error")
	n, err = client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: "relay-" + model, Messages: says(model, anthropic.NewTextBlock("Hi!")).Messages})
	if err != nil || n.InputTokens != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

func refusedWith(t *testing.T, err error, status int, typ string) {
	t.Helper()
	var e *anthropic.Error
	if !errors.As(err, &e) || e.StatusCode != status || string(e.Type()) != typ || e.RequestID == "" {
		t.Errorf("%v", err)
	}
}

// converse talks with the model until it calls no more tools; before each request it calls before, if that is not nil.
func converse(t *testing.T, client anthropic.Client, model string, stream bool, before func(round int)) transcript {
	t.Helper()
	properties := map[string]any{"round": map[string]any{"type": "integer"}, "city": map[string]any{"type": "string"}}
	params := says(model, anthropic.NewTextBlock("Weather and time?"))
	for _, name := range []string{"weather", "now"} {
		params.Tools = append(params.Tools, anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: properties}, name))
	}
	var out transcript
	for round := range fakeprovider.Rounds + 2 {
		if before != nil {
			before(round)
		}
		var m anthropic.Message
		if stream {
			m, _ = accumulated(t, client, params)
		} else if answer, err := client.Messages.New(t.Context(), params); err == nil {
			m = *answer
		} else {
			t.Fatal(err)
		}
		if strings.HasPrefix(model, "relay-") && m.Model != model {
			t.Errorf("%s answers as %s", model, m.Model)
		}
		calls, results := used(t, &m, round)
		if calls == nil {
			out.Text, out.Reason = m.Content[0].Text, string(m.StopReason)
			return out
		}
		if m.StopReason != anthropic.StopReasonToolUse {
			t.Errorf("%s after calls", m.StopReason)
		}
		params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(results...))
		out.Rounds = append(out.Rounds, calls)
	}
	t.Fatalf("%s calls tools without an end", model)
	return out
}

// used returns the calls of tools in a message, and what they give.
func used(t *testing.T, m *anthropic.Message, round int) (calls []toolCall, results []anthropic.ContentBlockParamUnion) {
	t.Helper()
	for _, b := range m.Content {
		if b.Type != "tool_use" {
			continue
		}
		call := toolCall{Name: b.Name}
		if err := json.Unmarshal(b.Input, &call.Arguments); err != nil {
			t.Fatalf("%v: %s", err, b.Input)
		}
		result := fmt.Sprintf(`{"of":%q,"round":%d}`, b.Name, round)
		if b.Name == "now" {
			result = "noon, or so"
		}
		calls, results = append(calls, call), append(results, anthropic.NewToolResultBlock(b.ID, result, false))
	}
	return calls, results
}

func testAnthropicModels(t *testing.T, client anthropic.Client) {
	var all []string
	pages := client.Models.ListAutoPaging(t.Context(), anthropic.ModelListParams{Limit: anthropic.Int(3)})
	for pages.Next() {
		all = append(all, pages.Current().ID)
	}
	if want := "anthropic azure gemini openai relay-anthropic relay-azure relay-gemini relay-openai"; pages.Err() != nil || strings.Join(all, " ") != want {
		t.Errorf("%v, %v", all, pages.Err())
	}
	m, err := client.Models.Get(t.Context(), "gemini", anthropic.ModelGetParams{})
	if err != nil || m.ID != "gemini" || m.DisplayName == "" || m.CreatedAt.IsZero() || m.Type != "model" {
		t.Errorf("%+v, %v", m, err)
	}
	_, err = client.Models.Get(t.Context(), "none", anthropic.ModelGetParams{})
	refusedWith(t, err, 404, "not_found_error")
}

func testAnthropicErrors(t *testing.T, h *deployment, client anthropic.Client) {
	stranger := anthropicClient(h, "berry-nobody")
	_, err := stranger.Messages.New(t.Context(), says("openai", anthropic.NewTextBlock("Hi!")))
	refusedWith(t, err, 401, "authentication_error")
	_, err = client.Messages.New(t.Context(), says("none", anthropic.NewTextBlock("Hi!")))
	refusedWith(t, err, 404, "not_found_error")
	params := says("gemini", anthropic.NewTextBlock("Hi!"))
	params.TopK = anthropic.Int(5)
	_, err = client.Messages.New(t.Context(), params)
	refusedWith(t, err, 400, "invalid_request_error")
	params.Model = "relay-gemini" // the next in turn that can
	if m, err := client.Messages.New(t.Context(), params); err != nil || m.Model != "relay-gemini" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, brain := range h.providers {
		brain.Down.Store(true)
	}
	_, err = client.Messages.New(t.Context(), says("openai", anthropic.NewTextBlock("Hi!")))
	refusedWith(t, err, 502, "api_error")
}

// Anthropic's client for Node.js works the same with every type of provider.
func TestAnthropicNode(t *testing.T) {
	const folder = "testdata/openai-node"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install Node.js 20 or later with npm, and run make node")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "@anthropic-ai")); err != nil {
		t.Fatal("the client is not installed: run make node")
	}
	h := serveTypes(t)
	for _, typ := range provider.Types() {
		t.Run(typ, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), node, "anthropic.mjs", typ)
			c.Dir, c.Env = folder, append(os.Environ(), "ANTHROPIC_BASE_URL="+strings.TrimSuffix(h.url, "/v1"), "ANTHROPIC_API_KEY="+gatewaytest.Token)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Thoughts of a model that shows them come as Anthropic's clients know them, if these ask for them.
func TestAnthropicThinking(t *testing.T) {
	const said = `data: {"id":"1","choices":[{"index":0,"delta":{"%s":"They greet."}}]}` + "\n\n" + `data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hi!"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "reasoning"
		if b, _ := io.ReadAll(r.Body); bytes.Contains(b, []byte(`"reasoning_effort":"medium"`)) {
			name = "reasoning_content"
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, said, name)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	client := anthropicClient(&deployment{url: g.URL}, gatewaytest.Token)
	params := says("m", anthropic.NewTextBlock("Hi!"))
	if m, _ := accumulated(t, client, params); len(m.Content) != 1 || m.Content[0].Text != "Hi!" {
		t.Errorf("%s", m.RawJSON())
	}
	params.Thinking = anthropic.ThinkingConfigParamOfEnabled(10_000)
	m, _ := accumulated(t, client, params)
	if len(m.Content) != 2 || m.Content[0].Thinking != "They greet." || m.Content[1].Text != "Hi!" {
		t.Fatalf("%s", m.RawJSON())
	}
	params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewTextBlock("Go on.")))
	if m, _ = accumulated(t, client, params); len(m.Content) != 2 {
		t.Errorf("%s", m.RawJSON())
	}
}
