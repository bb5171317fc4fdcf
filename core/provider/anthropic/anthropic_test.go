package anthropic

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/providertest"
)

func account(t testing.TB, base string) adapter.Endpoint {
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return adapter.Endpoint{Base: u, Key: "sk-ant", Headers: http.Header{"X-Own": {"1"}}}
}

func TestGolden(t *testing.T) {
	providertest.Golden(t, New(account(t, "https://api.anthropic.com")))
}

func FuzzStream(f *testing.F) {
	providertest.FuzzStream(f, New(account(f, "https://api.anthropic.com")))
}

func FuzzRequest(f *testing.F) {
	providertest.FuzzRequest(f, New(account(f, "https://api.anthropic.com")))
}

func TestDirect(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.anthropic.com":          "https://api.anthropic.com/v1/messages",
		"https://api.anthropic.com/v1":       "https://api.anthropic.com/v1/messages",
		"https://proxy.example/a%2Fb/claude": "https://proxy.example/a%2Fb/claude/v1/messages",
	} {
		a := account(t, base)
		r := &http.Request{Header: http.Header{}}
		New(a).SetTarget(r, adapter.Call{Path: "/chat/completions"})
		h := r.Header
		if r.URL.String() != want || r.Host != r.URL.Host || h.Get("X-Api-Key") != "sk-ant" || h.Get("Anthropic-Version") != version || h.Get("X-Own") != "1" {
			t.Errorf("%s: %s %v", base, r.URL, h)
		}
		a.APIVersion, a.Key = "2030-01-01", ""
		r = &http.Request{Header: http.Header{}}
		New(a).Check(r)
		if r.URL.Path[len(r.URL.Path)-10:] != "/v1/models" || r.Header.Get("Anthropic-Version") != "2030-01-01" || r.Header["X-Api-Key"] != nil {
			t.Errorf("%s: %s %v", base, r.URL, r.Header)
		}
	}
}

// A stream's event, read, translated and written.
func BenchmarkEvent(b *testing.B) {
	_, a, err := New(account(b, "https://api.anthropic.com")).Translate(context.Background(), adapter.Call{Model: "m", Stream: true}, []byte(`{"messages":[{"role":"user","content":"Hi!"}]}`))
	if err != nil {
		b.Fatal(err)
	}
	const event = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}}\n\n"
	b.ReportAllocs()
	r := adapter.NewReader(&endless{[]byte(strings.Repeat(event, 100)), 0}, a, 1<<20, nil)
	out := make([]byte, 32<<10)
	for n := 0; b.Loop(); n++ {
		if _, err := io.ReadFull(r, out[:175]); err != nil { // about an event
			b.Fatal(err)
		}
	}
}

type endless struct {
	text []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}
