package azure

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
)

func TestDirect(t *testing.T) {
	const resource = "https://berry.openai.azure.com"
	for _, test := range []struct{ base, version, path, want, check string }{
		{resource, "2024-10-21", "/chat/completions", "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21", "/openai/models?api-version=2024-10-21"},
		{resource + "/openai", "2024-10-21", "/embeddings", "/openai/deployments/my%20gpt%2F4/embeddings?api-version=2024-10-21", "/openai/models?api-version=2024-10-21"},
		{resource, "2025-03-01-preview", "/responses", "/openai/responses?api-version=2025-03-01-preview", "/openai/models?api-version=2025-03-01-preview"},
		{resource, "2024-10-21", "/files/file-1/content", "/openai/files/file-1/content?api-version=2024-10-21", "/openai/models?api-version=2024-10-21"},
		{resource, "", "/chat/completions", "/openai/v1/chat/completions", "/openai/v1/models"},
		{resource + "/openai/v1", "", "/embeddings", "/openai/v1/embeddings", "/openai/v1/models"},
		{resource + "/openai/v1", "preview", "/responses", "/openai/v1/responses?api-version=preview", "/openai/v1/models?api-version=preview"},
	} {
		base, err := url.Parse(test.base)
		if err != nil {
			t.Fatal(err)
		}
		d := New(adapter.Endpoint{Base: base, Key: "secret", APIVersion: test.version, Headers: http.Header{"X-Own": {"1"}}})
		call, check := &http.Request{Header: http.Header{}}, &http.Request{Header: http.Header{}}
		d.SetTarget(call, adapter.Call{Path: test.path, Model: "my gpt/4"})
		d.Check(check)
		if call.URL.String() != resource+test.want || check.URL.String() != resource+test.check {
			t.Errorf("%s %s: %s, %s; want %s, %s", test.base, test.version, call.URL, check.URL, test.want, test.check)
		}
		for _, r := range []*http.Request{call, check} {
			if r.Host != r.URL.Host || r.Header.Get("Api-Key") != "secret" || r.Header.Get("X-Own") != "1" || r.Header["Authorization"] != nil {
				t.Errorf("%s %v", r.Host, r.Header)
			}
		}
		if !d.Serves("/chat/completions") || !d.Serves("/audio/speech") || d.Serves("/moderations") || d.Serves("/images/variations") {
			t.Error("what is served")
		}
	}
}
