package openai

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
)

func TestDirect(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.openai.com/v1":    "https://api.openai.com/v1/chat/completions",
		"http://127.0.0.1:11434/a%2Fb": "http://127.0.0.1:11434/a%2Fb/chat/completions",
		"https://openrouter.ai/api/v1": "https://openrouter.ai/api/v1/chat/completions",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		organization := http.Header{"Openai-Organization": {"org-1"}, "Openai-Project": {"proj-1"}}
		r := &http.Request{Header: http.Header{"Accept": {"*/*"}}}
		New(adapter.Endpoint{Base: u, Key: "sk", Headers: organization}).SetTarget(r, adapter.Call{Path: "/chat/completions", Model: "m"})
		if r.URL.String() != want || r.Host != u.Host || r.Header.Get("Authorization") != "Bearer sk" || r.Header.Get("OpenAI-Organization") != "org-1" || r.Header.Get("OpenAI-Project") != "proj-1" {
			t.Errorf("%s %v; want %s", r.URL, r.Header, want)
		}
		r = &http.Request{Header: http.Header{}}
		New(adapter.Endpoint{Base: u}).Check(r) // no key is wanted
		if r.URL.Path != u.Path+"/models" || len(r.Header) != 0 {
			t.Errorf("%s %v", r.URL, r.Header)
		}
	}
}

// To direct a call costs its URL.
func TestDirectAllocates(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "api.openai.com", Path: "/v1"}
	var d adapter.Adapter = New(adapter.Endpoint{Base: u, Key: "sk"})
	r := &http.Request{Header: http.Header{}}
	if n := testing.AllocsPerRun(100, func() { d.SetTarget(r, adapter.Call{Path: "/chat/completions", Model: "m"}) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
