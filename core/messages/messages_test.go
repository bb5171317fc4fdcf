package messages

import (
	"net/url"
	"testing"

	"github.com/berrygate/berry/core/provider/dialect"
	"github.com/berrygate/berry/core/provider/gemini"
	"github.com/berrygate/berry/core/provider/openai"
	"github.com/berrygate/berry/core/provider/providertest"
)

const via = "/chat/completions"

func account(t testing.TB) dialect.Account {
	t.Helper()
	u, err := url.Parse("https://provider.example/v1")
	if err != nil {
		t.Fatal(err)
	}
	return dialect.Account{Base: u}
}

// chats is the front before a provider that speaks of chat completions itself.
func chats(t testing.TB) dialect.Translator { return Front(openai.New(account(t)), via) }

// contents is the front before one that is translated to, too.
func contents(t testing.TB) dialect.Translator { return Front(gemini.New(account(t)), via) }

func TestGolden(t *testing.T) { providertest.Golden(t, chats(t)) }
