package gemini

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/providertest"
)

const google = "https://generativelanguage.googleapis.com"

func account(t testing.TB, base string) adapter.Endpoint {
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return adapter.Endpoint{Base: u, Key: "AIza", Headers: http.Header{"X-Own": {"1"}}}
}

func TestGolden(t *testing.T) { providertest.Golden(t, New(account(t, google))) }

func FuzzStream(f *testing.F) { providertest.FuzzStream(f, New(account(f, google))) }

func FuzzRequest(f *testing.F) { providertest.FuzzRequest(f, New(account(f, google))) }

func TestDirect(t *testing.T) {
	for _, test := range []struct {
		base, version string
		call          adapter.Call
		want          string
	}{
		{google, "", adapter.Call{Path: "/chat/completions", Model: "gemini-2.5-flash"}, google + "/v1beta/models/gemini-2.5-flash:generateContent"},
		{google + "/v1beta", "", adapter.Call{Path: "/chat/completions", Model: "m", Stream: true}, google + "/v1beta/models/m:streamGenerateContent?alt=sse"},
		{google + "/v1", "", adapter.Call{Path: "/embeddings", Model: "m"}, google + "/v1/models/m:batchEmbedContents"},
		{google, "v1alpha", adapter.Call{Path: "/chat/completions", Model: "tunedModels/a b?"}, google + "/v1alpha/tunedModels/a%20b%3F:generateContent"},
	} {
		a := account(t, test.base)
		a.APIVersion = test.version
		r := &http.Request{Header: http.Header{}}
		New(a).SetTarget(r, test.call)
		if r.URL.String() != test.want || r.Host != r.URL.Host || r.Header.Get("X-Goog-Api-Key") != "AIza" || r.Header.Get("X-Own") != "1" {
			t.Errorf("%s %v; want %s", r.URL, r.Header, test.want)
		}
	}
	a := account(t, google)
	a.Key = ""
	r := &http.Request{Header: http.Header{}}
	New(a).Check(r)
	if r.URL.String() != google+"/v1beta/models?pageSize=1" || r.Header["X-Goog-Api-Key"] != nil {
		t.Errorf("%s %v", r.URL, r.Header)
	}
}
