package server_test

import (
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// The error for a path with a missing /v1 or an extra slash suggests the route. It does not echo the request's path.
func TestNotFoundSuggestsRoute(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Config())
	for _, test := range []struct{ method, url, want string }{
		{"POST", g.URL + "/v1/chat/completions/", "Did you mean POST /v1/chat/completions?"},
		{"POST", g.URL + "/v1//chat/completions", "Did you mean POST /v1/chat/completions?"},
		{"POST", g.URL + "//v1/chat/completions", "Did you mean POST /v1/chat/completions?"},
		{"POST", g.URL + "/chat/completions", "Did you mean POST /v1/chat/completions?"},
		{"POST", g.URL + "/v1/v1/messages", "Did you mean POST /v1/messages?"},
		{"POST", g.URL + "/openai/v1/v1/embeddings", "Did you mean POST /v1/embeddings?"},
		{"GET", g.URL + "/v1//responses/resp_1", "Did you mean GET /v1/responses/:id?"},
		{"GET", g.URL + "//v1/models", "Did you mean GET /v1/models?"},
		{"GET", g.URL + "/models", "Did you mean GET /v1/models?"},
		{"GET", g.URL + "/health/", "Did you mean GET /health?"},
		{"GET", g.AdminURL + "/admin/status/", "Did you mean GET /admin/status?"},
		{"GET", g.AdminURL + "//metrics", "Did you mean GET /metrics?"},
		{"POST", g.URL + "/v1/nothing", "the API begins at /v1"},
		{"POST", g.URL + "/v1/", "the API begins at /v1"},
		{"GET", g.URL + "/", "the API begins at /v1"},
		{"POST", g.URL + "/v1/audio", "the API begins at /v1"},
	} {
		response, text := do(t, g, test.method, test.url, map[string]string{"Authorization": "Bearer " + gatewaytest.Token})
		if response.StatusCode != 404 || !strings.Contains(text, test.want) {
			t.Errorf("%s %s: %d %s, want 404 and %s", test.method, test.url, response.StatusCode, text, test.want)
		}
	}
}
