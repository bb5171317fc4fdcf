package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A filesProvider stores files and records the requests that it receives.
type filesProvider struct {
	mu    sync.Mutex
	asked []string
}

func (a *filesProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, fmt.Sprintf("%s %s %s %s %d %v", r.Method, r.URL, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), len(body), err))
	switch {
	case strings.HasSuffix(r.URL.Path, "/content"):
		w.Header().Set("Content-Type", "application/json") // lines of it are none
		_, _ = io.WriteString(w, "{\"a\":1}\n{\"a\":2}\n")
	case strings.HasSuffix(r.URL.Path, "/cancel"):
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":{"message":"it has ended"}}`)
	case strings.HasSuffix(r.URL.Path, "/files/gone"):
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"message":"No such File object: gone"}}`)
	default:
		_, _ = io.WriteString(w, `{"id":"file-1","usage":{"input_tokens":5,"output_tokens":5}}`)
	}
}

// requests returns the number of requests and the latest one. A nil filesProvider received none.
func (a *filesProvider) requests() (times int, last string) {
	if a == nil {
		return 0, ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asked) == 0 {
		return 0, ""
	}
	return len(a.asked), a.asked[len(a.asked)-1]
}

// Calls for files and batches pass unchanged to the provider that the request names.
func TestAccounts(t *testing.T) {
	p, q := &filesProvider{}, &filesProvider{}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Provider("q", gatewaytest.Serve(t, q)),
		gatewaytest.Provider("c", "http://127.0.0.1:1"), `type = "anthropic"
[users.bob]
token = "berry-bob-0123456789abc"
files_provider = "q"
[users.carl]
token = "berry-carl-0123456789ab"
allowed_models = ["m"]
[users.dora]
token = "berry-dora-0123456789ab"
allowed_models = ["m"]
files_provider = "p"
`, gatewaytest.Model("m", "failover", "p")))
	const alice, bob, carl, dora = gatewaytest.Token, "berry-bob-0123456789abc", "berry-carl-0123456789ab", "berry-dora-0123456789ab"
	const form = "multipart/form-data; boundary=b"
	for _, test := range []struct {
		token, provider, method, path, kind string
		body                                int
		status                              int
		answer                              string
		asked                               *filesProvider
		want                                string
	}{
		{bob, "", "POST", "/files", form, 3 << 20, 200, `"id":"file-1"`, q, "POST /v1/files Bearer sk-q " + form + " 3145728 <nil>"},
		{bob, "p", "POST", "/files", form, 10, 200, `"id":"file-1"`, p, "POST /v1/files Bearer sk-p " + form + " 10 <nil>"},
		{alice, "q", "GET", "/files?purpose=batch&after=file-0&API-Version=1&api_key=2", "", 0, 200, `"id"`, q, "GET /v1/files?after=file-0&purpose=batch Bearer sk-q  0 <nil>"},
		{bob, "", "GET", "/files/file-1/content", "", 0, 200, "{\"a\":1}\n{\"a\":2}\n", q, "GET /v1/files/file-1/content Bearer sk-q  0 <nil>"},
		{bob, "", "DELETE", "/files/file-1", "", 0, 200, `"id"`, q, "DELETE /v1/files/file-1 Bearer sk-q  0 <nil>"},
		{bob, "", "GET", "/files/gone", "", 0, 404, `No such File`, q, "GET /v1/files/gone Bearer sk-q  0 <nil>"},
		{bob, "", "POST", "/batches", "application/json", 2, 200, `"id"`, q, "POST /v1/batches Bearer sk-q application/json 2 <nil>"},
		{bob, "", "POST", "/batches/batch_1/cancel", "", 0, 409, `it has ended`, q, "POST /v1/batches/batch_1/cancel Bearer sk-q  0 <nil>"},
		{dora, "", "GET", "/batches/batch_1", "", 0, 200, `"id"`, p, "GET /v1/batches/batch_1 Bearer sk-p  0 <nil>"},
		{alice, "", "GET", "/files", "", 0, 400, `"code":"ambiguous_provider"`, nil, ""},
		{alice, "none", "GET", "/files", "", 0, 400, `"code":"unknown_provider"`, nil, ""},
		{alice, "c", "GET", "/files", "", 0, 400, `"code":"unknown_provider"`, nil, ""},
		{carl, "p", "GET", "/files", "", 0, 404, `"No provider \"p\" serves`, nil, ""},
		{carl, "none", "GET", "/files", "", 0, 404, `"No provider \"none\" serves`, nil, ""},
		{dora, "q", "GET", "/files", "", 0, 404, `"No provider \"q\" serves`, nil, ""},
		{"berry-nobody", "p", "GET", "/files", "", 0, 401, `"code":"invalid_api_key"`, nil, ""},
		{alice, "p", "GET", "/files/..%2Fmodels", "", 0, 404, `"code":"not_found"`, nil, ""},
		{alice, "p", "GET", "/files/file-1%2Fcontent", "", 0, 404, `"code":"not_found"`, nil, ""},
		{alice, "p", "DELETE", "/files/%2Fmodels", "", 0, 404, `"code":"not_found"`, nil, ""},
		{alice, "p", "GET", "/files//content", "", 0, 404, `"code":"not_found"`, nil, ""},
		{alice, "p", "POST", "/files", form, 40 << 20, 413, `"code":"request_too_large"`, nil, ""},
	} {
		r, err := http.NewRequest(test.method, g.URL+"/v1"+test.path, strings.NewReader(strings.Repeat("x", test.body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+test.token)
		r.Header.Set("Content-Type", test.kind)
		if test.provider != "" {
			r.Header.Set("X-Berry-Provider", test.provider)
		}
		askedOf := func() int {
			n, _ := p.requests()
			m, _ := q.requests()
			return n + m
		}
		before := askedOf()
		response, err := g.Client.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
			continue
		}
		_, text := gatewaytest.Read(t, response)
		if response.StatusCode != test.status || !strings.Contains(text, test.answer) {
			t.Errorf("%s %s: %d %s; want %d %s", test.method, test.path, response.StatusCode, text, test.status, test.answer)
		}
		asked := askedOf() - before
		if _, last := test.asked.requests(); asked > 0 && test.asked == nil || test.asked != nil && (asked != 1 || last != test.want) {
			t.Errorf("%s %s: the provider received %d requests, last %q; want %q", test.method, test.path, asked, last, test.want)
		}
	}
	if metrics := g.Page(t, "/metrics"); !strings.Contains(metrics, `gen_ai_operation_name="batch_create"`) {
		t.Error("the metrics do not count the calls")
	}
	for _, u := range g.Status(t).Users {
		if u.InputTokens > 0 {
			t.Errorf("user %s: got %d tokens, want 0", u.ID, u.InputTokens)
		}
	}
}

// With only one provider, requests need not name it.
func TestOneAccount(t *testing.T) {
	p := &filesProvider{}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
	if response, text := gatewaytest.Read(t, g.Post(t, "/v1/batches", `{}`)); response.StatusCode != 200 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}
