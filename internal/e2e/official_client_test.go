package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// OpenAI's own client talks to the built binary as it would to OpenAI.
func TestOfficialClient(t *testing.T) {
	provider := gatewaytest.Serve(t, &fakeprovider.Provider{Name: "p", Key: "sk-p"})
	file := filepath.Join(t.TempDir(), "config.toml")
	toml := gatewaytest.Config(gatewaytest.Provider("p", provider), `
[users.bob]
token = "berry-bob-0123456789abc"
allowed_models = ["fast"]
[models.smart]
strategy = "round_robin"
[[models.smart.backends]]
provider = "p"
model = "large"
[models.fast]
strategy = "random"
[[models.fast.backends]]
provider = "p"
model = "small"
`)
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "http://" + start(t, nil, "serve", "--config", file).address(t) + "/v1"
	client := func(token string) openai.Client {
		return openai.NewClient(option.WithBaseURL(base), option.WithAPIKey(token), option.WithMaxRetries(0))
	}
	alice, bob := client(gatewaytest.Token), client("berry-bob-0123456789abc")
	ctx := context.Background()
	chat := func(model string) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi!")}}
	}

	t.Run("chat", func(t *testing.T) {
		c, err := alice.Chat.Completions.New(ctx, chat("smart"))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Choices) != 1 || c.Choices[0].Message.Content != "Hello from p, model large. You said: Hi!" || c.Usage.TotalTokens == 0 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("stream", func(t *testing.T) {
		s := alice.Chat.Completions.NewStreaming(ctx, chat("smart"))
		var all openai.ChatCompletionAccumulator
		events := 0
		for s.Next() {
			events++
			all.AddChunk(s.Current())
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		if events < 5 || all.Choices[0].Message.Content != "Hello from p, model large. You said: Hi!" {
			t.Errorf("%d events, %+v", events, all.Choices)
		}
	})
	t.Run("embeddings", func(t *testing.T) {
		e, err := alice.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "fast", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
		if err != nil || len(e.Data) != 1 || len(e.Data[0].Embedding) != 3 {
			t.Errorf("%+v, %v", e, err)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := bob.Models.List(ctx)
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != "fast" {
			t.Errorf("%+v, %v", page, err)
		}
		if m, err := alice.Models.Get(ctx, "smart"); err != nil || m.ID != "smart" {
			t.Errorf("%+v, %v", m, err)
		}
	})
	stranger := client("berry-nobody")
	for name, test := range map[string]struct {
		client openai.Client
		model  string
		status int
		code   string
	}{
		"401": {stranger, "smart", 401, "invalid_api_key"},
		"403": {bob, "smart", 403, "model_not_allowed"},
		"404": {bob, "none", 404, "model_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.client.Chat.Completions.New(ctx, chat(test.model))
			var e *openai.Error
			if !errors.As(err, &e) || e.StatusCode != test.status || e.Code != test.code || strings.TrimSpace(e.Message) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}
