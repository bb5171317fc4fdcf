package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// anthropic sends a request as clients of Anthropic's API do. headers are pairs of name and value.
func anthropic(t *testing.T, g *gatewaytest.Gateway, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Anthropic-Version", "2023-06-01")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytest.Read(t, response)
}

// refusedAsAnthropic fails the test unless the response is an error of the type in Anthropic's format.
func refusedAsAnthropic(t *testing.T, response *http.Response, text string, status int, kind string) {
	t.Helper()
	var e struct {
		Type      string
		Error     struct{ Type, Message string }
		RequestID string `json:"request_id"`
	}
	err := json.Unmarshal([]byte(text), &e)
	if err != nil || response.StatusCode != status || e.Type != "error" || e.Error.Type != kind || len(e.Error.Message) < 20 {
		t.Errorf("%d %s; want %d %s", response.StatusCode, text, status, kind)
	}
	if id := response.Header.Get("Request-Id"); id == "" || id != e.RequestID || id != response.Header.Get("X-Request-Id") {
		t.Errorf("got request id %q in %s, but %q in X-Request-Id", id, text, response.Header.Get("X-Request-Id"))
	}
}

// Errors have Anthropic's format on Anthropic's paths and for clients that send an anthropic-version header.
func TestBadMessages(t *testing.T) {
	provider := fake()
	g := newServer(t, provider)
	const path, alice, bob = "/v1/messages", gatewaytest.Token, "berry-bob-0123456789abc"
	for name, test := range map[string]struct {
		method, path, header, key, body string
		status                          int
		kind                            string
	}{
		"broken JSON":           {"POST", path, "X-Api-Key", alice, `{"model":"smart"`, 400, "invalid_request_error"},
		"two models":            {"POST", path, "X-Api-Key", bob, `{"model":"fast","Model":"smart"}`, 400, "invalid_request_error"},
		"nothing to translate":  {"POST", path, "X-Api-Key", alice, `{"model":"smart"}`, 400, "invalid_request_error"},
		"body over the limit":   {"POST", path, "X-Api-Key", alice, `{"model":"smart","x":"` + strings.Repeat("x", 1000) + `"}`, 413, "request_too_large"},
		"no token":              {"POST", path, "X-Other", "", `{"model":"smart"}`, 401, "authentication_error"},
		"an empty token":        {"POST", path, "X-Api-Key", "", `{"model":"smart"}`, 401, "authentication_error"},
		"unknown token":         {"POST", path, "X-Api-Key", "berry-nobody", `{"model":"smart"}`, 401, "authentication_error"},
		"unknown bearer":        {"POST", path, "Authorization", "Bearer berry-nobody", `{"model":"smart"}`, 401, "authentication_error"},
		"another's model":       {"POST", path, "X-Api-Key", bob, `{"model":"smart"}`, 403, "permission_error"},
		"unknown model":         {"POST", path, "Authorization", "Bearer " + bob, `{"model":"none"}`, 404, "not_found_error"},
		"no backend":            {"POST", path, "X-Api-Key", alice, `{"model":"idle"}`, 503, "overloaded_error"},
		"nobody who counts":     {"POST", path + "/count_tokens", "X-Api-Key", alice, `{"model":"smart"}`, 400, "invalid_request_error"},
		"unknown route":         {"POST", path + "/batches", "X-Api-Key", alice, `{}`, 404, "not_found_error"},
		"wrong method":          {"GET", path, "X-Api-Key", alice, ``, 405, "invalid_request_error"},
		"list without token":    {"GET", "/v1/models", "X-Other", "", ``, 401, "authentication_error"},
		"another's model by id": {"GET", "/v1/models/smart", "X-Api-Key", bob, ``, 404, "not_found_error"},
		"no limit":              {"GET", "/v1/models?limit=0", "X-Api-Key", alice, ``, 400, "invalid_request_error"},
	} {
		t.Run(name, func(t *testing.T) {
			response, text := anthropic(t, g, test.method, test.path, test.body, test.header, test.key)
			refusedAsAnthropic(t, response, text, test.status, test.kind)
		})
	}
	if n := provider.Served() + provider.Failed(); n != 0 {
		t.Errorf("the provider received %d invalid requests, want 0", n)
	}
	if log := g.Log.String(); strings.Contains(log, "berry-nobody") || !strings.Contains(log, `"route":"/v1/messages/count_tokens"`) {
		t.Error(log)
	}
}

// A key in X-Api-Key is valid only on Anthropic's paths.
func TestAPIKeyElsewhere(t *testing.T) {
	g := newServer(t, fake())
	r, err := http.NewRequest(http.MethodGet, g.URL+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", gatewaytest.Token)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 401 || !strings.Contains(text, `"code":"missing_api_key"`) {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// Panics, overload and blocked addresses are reported in Anthropic's error format, too.
func TestAnthropicRefusals(t *testing.T) {
	odd := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.StageDeps) (*core.Pipeline, error) {
		return core.NewPipeline(core.Stage{Name: "odd", Plugin: stage(func(context.Context, *core.Exchange) error { panic("disk on fire") })}), nil
	})
	response, text := anthropic(t, odd, http.MethodPost, "/v1/messages", "{}")
	refusedAsAnthropic(t, response, text, 500, "api_error")

	held := make(chan struct{})
	url := gatewaytest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	defer close(held)
	full := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nmax_in_flight = 1\n", 1))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, full.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
			_, _ = full.Client.Do(r)
		}
	}()
	gatewaytest.Wait(t, "one is under way", func() bool { return full.Status(t).Providers[0].InFlight == 1 })
	response, text = anthropic(t, full, http.MethodPost, "/v1/messages", "{}", "X-Api-Key", gatewaytest.Token)
	refusedAsAnthropic(t, response, text, 503, "overloaded_error")
	leave()

	strict := gatewaytest.Start(t, gatewaytest.Config("[auth]\nmax_failures_per_minute = 1\n"))
	anthropic(t, strict, http.MethodPost, "/v1/messages", "{}", "X-Api-Key", "berry-guess-1")
	response, text = anthropic(t, strict, http.MethodPost, "/v1/messages", "{}", "X-Api-Key", "berry-guess-2")
	refusedAsAnthropic(t, response, text, 429, "rate_limit_error")
}

// A message stream that exceeds the shutdown grace period ends with Anthropic's error event.
func TestShutdownEndsMessages(t *testing.T) {
	provider := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", provider), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nshutdown_grace_seconds = 0\n", 1))
	stream := g.Post(t, "/v1/messages", `{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]}`)
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	_, got := gatewaytest.Read(t, stream)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if last := got[strings.LastIndex(strings.TrimSuffix(got, "\n\n"), "\n\n")+2:]; !strings.HasPrefix(last, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"The gateway is shutting down") {
		t.Errorf("%q", got)
	}
}

// The list of models is paginated as in Anthropic's API and contains only models that the user may use.
func TestAnthropicModels(t *testing.T) {
	g := newServer(t, fake())
	for query, want := range map[string]string{
		"":                           "fast idle org/open-model smart, more false",
		"?limit=2":                   "fast idle, more true",
		"?limit=2&after_id=idle":     "org/open-model smart, more false",
		"?limit=2&after_id=g":        "idle org/open-model, more true", // may have existed
		"?limit=2&before_id=smart":   "idle org/open-model, more true",
		"?limit=2&before_id=idle":    "fast, more false",
		"?after_id=zzz":              ", more false",
		"?limit=1000&before_id=smar": "fast idle org/open-model, more false",
	} {
		_, text := anthropic(t, g, http.MethodGet, "/v1/models"+query, "", "X-Api-Key", gatewaytest.Token)
		var page struct {
			Data []struct {
				Type, ID    string
				DisplayName string `json:"display_name"`
				CreatedAt   string `json:"created_at"`
			}
			HasMore *bool   `json:"has_more"`
			First   *string `json:"first_id"`
			Last    *string `json:"last_id"`
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || page.HasMore == nil {
			t.Fatalf("%v: %s", err, text)
		}
		var names []string
		for _, m := range page.Data {
			if names = append(names, m.ID); m.Type != "model" || m.DisplayName != m.ID || !strings.HasSuffix(m.CreatedAt, "Z") {
				t.Errorf("%+v", m)
			}
		}
		if got := fmt.Sprintf("%s, more %v", strings.Join(names, " "), *page.HasMore); got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
		if n := len(names); (n > 0) != (page.First != nil) || n > 0 && (*page.First != names[0] || *page.Last != names[n-1]) {
			t.Errorf("%s: %s", query, text)
		}
	}
	if _, text := anthropic(t, g, http.MethodGet, "/v1/models", "", "X-Api-Key", "berry-bob-0123456789abc"); strings.Contains(text, "smart") || !strings.Contains(text, `"id":"fast"`) {
		t.Error(text)
	}
	if _, text := anthropic(t, g, http.MethodGet, "/v1/models/org/open-model", "", "X-Api-Key", gatewaytest.Token); !strings.HasPrefix(text, `{"type":"model","id":"org/open-model",`) {
		t.Error(text)
	}
}
