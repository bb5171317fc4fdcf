package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A deployment is the built binary before a provider of each type, each of which speaks its own API. A model has each type's name;
// "relay-TYPE" fails over from that type to the others in turn.
type deployment struct {
	url       string
	providers map[string]*fakeprovider.ToolCaller
}

func serveTypes(t *testing.T) *deployment {
	t.Helper()
	h := &deployment{providers: map[string]*fakeprovider.ToolCaller{}}
	models := map[string]string{"openai": "gpt-4o", "azure": "my-gpt", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-3-flash-preview"}
	toml := gatewaytest.Config()
	types := provider.Types()
	for i, typ := range types {
		brain := &fakeprovider.ToolCaller{Key: "sk-" + typ}
		h.providers[typ] = brain
		toml += gatewaytest.Provider(typ, gatewaytest.Serve(t, fakeprovider.Translate(typ, brain))) + fmt.Sprintf("type = %q\n", typ)
		if typ == "azure" {
			toml += "api_version = \"2024-10-21\"\n"
		}
		backend := func(model, typ string, priority int) string {
			return fmt.Sprintf("[[models.%s.backends]]\nprovider = %q\nmodel = %q\npriority = %d\n", model, typ, models[typ], priority)
		}
		toml += fmt.Sprintf("[models.%s]\nstrategy = \"failover\"\n", typ) + backend(typ, typ, 1)
		toml += fmt.Sprintf("[models.relay-%s]\nstrategy = \"failover\"\nresponse_model = \"client\"\n", typ)
		for j := range types {
			toml += backend("relay-"+typ, types[(i+j)%len(types)], j)
		}
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + start(t, nil, "serve", "--config", file).address(t) + "/v1"
	return h
}

// OpenAI's client for Go works the same with every type of provider.
func TestOpenAIGo(t *testing.T) {
	h := serveTypes(t)
	client := openai.NewClient(option.WithBaseURL(h.url), option.WithAPIKey(gatewaytest.Token), option.WithMaxRetries(0))
	for _, typ := range provider.Types() {
		t.Run(typ, func(t *testing.T) {
			t.Run("images", func(t *testing.T) { testImages(t, client, typ) })
			t.Run("stream", func(t *testing.T) { testStream(t, client, typ) })
			t.Run("structured", func(t *testing.T) { testStructured(t, client, typ) })
			t.Run("embeddings", func(t *testing.T) { testEmbeddings(t, client, typ) })
			t.Run("responses", func(t *testing.T) { testResponses(t, client, typ) })
			t.Run("refused", func(t *testing.T) { testRefused(t, client, typ) })
		})
	}
	t.Run("tools", func(t *testing.T) {
		testTools(t, h, "stop", func(model string, stream bool, before func(int)) transcript {
			return talk(t, client, model, stream, before)
		})
		for typ, brain := range h.providers {
			if brain.Served.Load() == 0 {
				t.Errorf("%s has served nothing", typ)
			}
		}
	})
}

func testImages(t *testing.T, client openai.Client, model string) {
	c, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("Be brief."),
		openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart("What are these?"),
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://example.com/ant.png"}),
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,iVBORw0KGgo="}),
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "system: Be brief.|user: What are these?|image: https://example.com/ant.png|image: data:image/png;base64,iVBORw0KGgo="
	if m := c.Choices[0]; m.Message.Content != want || m.FinishReason != "stop" || c.Usage.PromptTokens != 10 || c.Usage.TotalTokens != 15 {
		t.Errorf("%s", c.RawJSON())
	}
}

func testStream(t *testing.T, client openai.Client, model string) {
	s := client.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
		Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Grüße, 世界! \"<&>\"")},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	})
	var all openai.ChatCompletionAccumulator
	events := 0
	for s.Next() {
		events++
		if !all.AddChunk(s.Current()) {
			t.Errorf("%s", s.Current().RawJSON())
		}
	}
	if s.Err() != nil || events < 5 {
		t.Fatalf("%d events, %v", events, s.Err())
	}
	if c := all.Choices[0]; c.Message.Content != "user: Grüße, 世界! \"<&>\"" || c.FinishReason != "stop" || all.Usage.TotalTokens != 15 {
		t.Errorf("%+v", all.ChatCompletion)
	}
}

func testStructured(t *testing.T, client openai.Client, model string) {
	schema := map[string]any{"type": "object", "properties": map[string]any{"said": map[string]any{"type": "string"}}, "required": []string{"said"}, "additionalProperties": false}
	c, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi!")},
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "saying", Schema: schema, Strict: openai.Bool(true)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Said string }
	if err := json.Unmarshal([]byte(c.Choices[0].Message.Content), &out); err != nil || out.Said != "user: Hi!" {
		t.Errorf("%v: %s", err, c.RawJSON())
	}
}

func testEmbeddings(t *testing.T, client openai.Client, model string) {
	e, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one", "three"}},
	})
	if model == "anthropic" { // which has none
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Code != "unsupported_endpoint" || refused.Param != "model" {
			t.Errorf("%v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Data) != 2 || !slices.Equal(e.Data[0].Embedding, []float64{3, -0.25, 0.5}) || !slices.Equal(e.Data[1].Embedding, []float64{5, -0.25, 0.5}) {
		t.Errorf("%s", e.RawJSON())
	}
}

// A parameter that a type does not support is rejected with an error that names it; other backends serve the request.
func testRefused(t *testing.T, client openai.Client, model string) {
	params := openai.ChatCompletionNewParams{
		Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi!")}, LogitBias: map[string]int64{"50256": -100},
	}
	_, err := client.Chat.Completions.New(t.Context(), params)
	if model == "openai" || model == "azure" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Code != "unsupported_parameter" || refused.Param != "logit_bias" {
		t.Errorf("%v %+v", err, refused)
	}
	params.Model = "relay-" + model // the next in turn that can
	if c, err := client.Chat.Completions.New(t.Context(), params); err != nil || c.Model != params.Model {
		t.Errorf("%v", err)
	}
}

// OpenAI's client for Node.js works the same with every type of provider.
func TestOpenAINode(t *testing.T) {
	const folder = "testdata/openai-node"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install Node.js 20 or later with npm, and run make node")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "openai")); err != nil {
		t.Fatal("the client is not installed: run make node")
	}
	h := serveTypes(t)
	for _, typ := range provider.Types() {
		t.Run(typ, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), node, "client.mjs", typ)
			c.Dir, c.Env = folder, append(os.Environ(), "OPENAI_BASE_URL="+h.url, "OPENAI_API_KEY="+gatewaytest.Token)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
