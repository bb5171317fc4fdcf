package messages

import (
	"context"
	"net/url"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/gemini"
	"github.com/berrygate/berry/core/provider/openai"
	"github.com/berrygate/berry/core/provider/providertest"
)

const via = "/chat/completions"

func account(t testing.TB) adapter.Endpoint {
	t.Helper()
	u, err := url.Parse("https://provider.example/v1")
	if err != nil {
		t.Fatal(err)
	}
	return adapter.Endpoint{Base: u}
}

// chats is the front before a provider that speaks of chat completions itself.
func chats(t testing.TB) adapter.Translator { return Translate(openai.New(account(t)), via) }

// contents is the front before one that is translated to, too.
func contents(t testing.TB) adapter.Translator { return Translate(gemini.New(account(t)), via) }

func TestGolden(t *testing.T) { providertest.Golden(t, clientErrors{chats(t)}) }

// clientErrors is a front whose refusals have the bodies that clients get.
type clientErrors struct{ adapter.Translator }

func (d clientErrors) Translate(ctx context.Context, c adapter.Call, body []byte) ([]byte, adapter.ResponseTranslator, error) {
	out, a, err := d.Translator.Translate(ctx, c, body)
	return out, clientAnswer{a, c.ID}, err
}

type clientAnswer struct {
	adapter.ResponseTranslator
	id string
}

func (a clientAnswer) TranslateError(status int, body []byte) adapter.ErrorResponse {
	r := a.ResponseTranslator.TranslateError(status, body)
	r.Body = ErrorBody(r.Status, r.Body, a.id)
	return r
}
