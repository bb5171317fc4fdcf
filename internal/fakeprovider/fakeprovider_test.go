package fakeprovider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProvider(t *testing.T) {
	p := &Provider{Name: "p", Key: "k", Models: []string{"m"}, FailEvery: 3}
	s := httptest.NewServer(p)
	defer s.Close()
	for _, test := range []struct {
		method, path, key, body string
		status                  int
		want                    string
	}{
		{"GET", "/v1/models", "k", "", 200, `"id":"m"`},
		{"GET", "/v1/models", "", "", 401, "invalid_api_key"},
		{"POST", "/v1/chat/completions", "k", `{"model":"m","messages":[{"content":"one"}]}`, 200, "You said: one"},
		{"POST", "/v1/chat/completions", "k", `{"model":"m","stream":true,"messages":[{"content":"two"}]}`, 200, "data: [DONE]\n\n"},
		{"POST", "/v1/embeddings", "k", `{"model":"m","input":"x"}`, 500, "failed on purpose"},
		{"POST", "/v1/embeddings", "k", `{"model":"m","input":"x"}`, 200, `"embedding"`},
		{"POST", "/v1/completions", "k", `{"model":"m","prompt":"three"}`, 200, `You said: three`},
		{"POST", "/v1/completions", "k", `{`, 400, "invalid_json"},
	} {
		r, err := http.NewRequest(test.method, s.URL+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+test.key)
		response, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || !strings.Contains(string(b), test.want) {
			t.Errorf("%s %s: %d %s, %v; want %d %s", test.method, test.path, response.StatusCode, b, err, test.status, test.want)
		}
	}
	if p.Served() != 4 || p.Failed() != 1 {
		t.Errorf("got %d served and %d failed", p.Served(), p.Failed())
	}
}

// Each request receives its planned fault, whatever preceded it, and the log records the fault.
func TestPlan(t *testing.T) {
	plan := []string{"", "500-once", "429-once", "500-once", "none such"}
	p := &Provider{Plan: func(n int) string { return plan[n] }}
	s := httptest.NewServer(p)
	defer s.Close()
	for i, want := range []int{200, 500, 429, 500, 200} {
		response, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","messages":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if log := p.Log(); response.StatusCode != want || log[i].Fault != plan[i] {
			t.Errorf("request %d: got status %d and logged fault %q; planned fault %q", i, response.StatusCode, log[i].Fault, plan[i])
		}
	}
}
