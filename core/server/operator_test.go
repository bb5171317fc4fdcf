package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// do sends a request with the headers and returns the response and its body. Host sets the request's host.
func do(t *testing.T, g *gatewaytest.Gateway, method, url string, header map[string]string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Host = header["Host"]
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytest.Read(t, response)
}

// Web pages in the operator's browser cannot reach the admin listener by DNS rebinding or cross-site requests.
func TestAdminRejectsWebPages(t *testing.T) {
	with := func(server string) *gatewaytest.Gateway {
		return gatewaytest.Start(t, strings.Replace(gatewaytest.Config(), "[server]\n", "[server]\n"+server, 1))
	}
	open, closed := with("admin_hosts = [\"berry.example.com\"]\n"), with("admin_token = \"berry-operator-0123\"\n")
	for _, test := range []struct {
		method, path string
		header       map[string]string
		status       int
	}{
		{"GET", "/admin/status", nil, 200},
		{"GET", "/admin/status", map[string]string{"Host": "localhost:3001"}, 200},
		{"GET", "/admin/status", map[string]string{"Host": "[::1]:3001"}, 200},
		{"GET", "/admin/status", map[string]string{"Host": "berry:3001"}, 200},
		{"GET", "/admin/status", map[string]string{"Host": "Berry.Example.com"}, 200},
		{"GET", "/admin/status", map[string]string{"Host": "evil.example.com:3001"}, 403},
		{"GET", "/metrics", map[string]string{"Host": "evil.example.com"}, 403},
		{"GET", "/debug/pprof/cmdline", map[string]string{"Host": "127.0.0.1.evil.example.com"}, 403},
		{"POST", "/admin/reload", nil, 200},
		{"POST", "/admin/reload", map[string]string{"Origin": "https://evil.example.com"}, 403},
		{"POST", "/admin/reload", map[string]string{"Origin": "null"}, 403},
		{"POST", "/admin/reload", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"POST", "/admin/reload", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"GET", "/debug/pprof/profile", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, 403},
		{"GET", "/admin/status", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200},
		{"GET", "/admin/status", map[string]string{"Sec-Fetch-Site": "none"}, 200},
		{"GET", "/metrics", map[string]string{"Host": "10.0.0.5:3001", "Origin": "http://evil.example.com"}, 403},
		{"GET", "/metrics", map[string]string{"Host": "10.0.0.5:3001", "Origin": "null"}, 403},
		{"GET", "/metrics", map[string]string{"Host": "10.0.0.5:3001", "Origin": "http://10.0.0.5:3001"}, 200},
		{"GET", "/debug/pprof/cmdline", map[string]string{"Host": "10.0.0.5:3001", "Referer": "http://evil.example.com/"}, 403},
		{"GET", "/debug/pprof/cmdline", map[string]string{"Host": "10.0.0.5:3001", "Referer": "http://10.0.0.5:3001/debug/pprof/"}, 200},
		{"GET", "/admin/status", map[string]string{"Host": "10.0.0.5:3001", "Referer": "http://wiki.example.com/"}, 200},
	} {
		if response, text := do(t, open, test.method, open.AdminURL+test.path, test.header); response.StatusCode != test.status {
			t.Errorf("%s %s %v: %d %s, want %d", test.method, test.path, test.header, response.StatusCode, text, test.status)
		}
	}
	if response, _ := do(t, closed, "GET", closed.AdminURL+"/admin/status", map[string]string{"Host": "berry.example.com", "Authorization": "Bearer berry-operator-0123"}); response.StatusCode != 200 {
		t.Errorf("with the token and another host: got %d", response.StatusCode)
	}
}

// An address that guesses the admin token is blocked, even with the valid token.
func TestAdminTokenGuessing(t *testing.T) {
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(), "[server]\n", "[server]\nadmin_token = \"berry-operator-0123\"\n", 1))
	ask := func(token string) *http.Response {
		response, _ := do(t, g, "GET", g.AdminURL+"/admin/status", map[string]string{"Authorization": "Bearer " + token})
		return response
	}
	if got := ask("berry-operator-0123").StatusCode; got != 200 {
		t.Fatalf("%d", got)
	}
	got := map[int]int{}
	for range 100 {
		got[ask("berry-operator-9999").StatusCode]++
	}
	if got[401] < 30 || got[401] > 60 || got[401]+got[429] != 100 {
		t.Errorf("100 guesses: got statuses %v, want about 30 × 401 and then 429", got)
	}
	if response := ask("berry-operator-0123"); response.StatusCode != 429 || response.Header.Get("Retry-After") == "" {
		t.Errorf("valid token after the guesses: got %d", response.StatusCode)
	}
}

// HEAD works for every GET route, with the same headers and no body.
func TestHead(t *testing.T) {
	g := newServer(t, fake())
	for _, url := range []string{g.URL + "/health", g.URL + "/ready", g.URL + "/v1/models", g.URL + "/v1/models/smart", g.AdminURL + "/admin/status",
		g.AdminURL + "/metrics", g.AdminURL + "/admin/decisions", g.AdminURL + "/health", g.AdminURL + "/debug/pprof/cmdline", g.URL + "/v1/models/none", g.URL + "/nowhere"} {
		token := map[string]string{"Authorization": "Bearer " + gatewaytest.Token}
		get, _ := do(t, g, "GET", url, token)
		head, body := do(t, g, "HEAD", url, token)
		if head.StatusCode != get.StatusCode || body != "" || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %q %q, GET %d %q", url, head.StatusCode, head.Header.Get("Content-Type"), body, get.StatusCode, get.Header.Get("Content-Type"))
		}
	}
}
