package relay_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// What a provider says never becomes a page of the gateway's in a browser, whatever it calls it.
func TestNothingPassesAsAPage(t *testing.T) {
	const chat, speech = "/v1/chat/completions", "/v1/audio/speech"
	const refusal = `{"error":{"message":"<script>alert(1)</script>","type":"invalid_request_error","param":"temperature","code":null}}`
	for _, test := range []struct {
		path, request string
		status        int
		kind, body    string
		want          int
		wantKind      string
	}{
		{chat, `{"model":"m"}`, 200, "text/html", answer, 200, "application/json"},
		{chat, `{"model":"m"}`, 200, "image/svg+xml", answer, 200, "application/json"},
		{chat, `{"model":"m"}`, 200, "text/plain", answer, 200, "application/json"},
		{chat, `{"model":"m"}`, 200, "application/json; charset=utf-8", answer, 200, "application/json; charset=utf-8"},
		{chat, `{"model":"m"}`, 400, "text/html; charset=utf-8", refusal, 400, "application/json"},
		{chat, `{"model":"m"}`, 400, "application/xhtml+xml", refusal, 400, "application/json"},
		{chat, `{"model":"m"}`, 200, "text/html", "<script>", 502, "application/json"},
		{speech, `{"model":"m"}`, 200, "text/html", "<script>", 502, "application/json"},
		{speech, `{"model":"m"}`, 200, "application/xhtml+xml", "<script>", 502, "application/json"},
		{speech, `{"model":"m"}`, 200, "image/svg+xml", "<svg>", 502, "application/json"},
		{speech, `{"model":"m"}`, 200, "multipart/x-mixed-replace; boundary=b", "--b", 502, "application/json"},
		{speech, `{"model":"m"}`, 200, "audio/mpeg", "sound", 200, "audio/mpeg"},
		{"/v1/files/file-1/content", "", 200, "text/html", "<script>", 200, "application/octet-stream"},
		{"/v1/files/file-1/content", "", 200, "image/svg+xml", "<svg>", 200, "application/octet-stream"},
		{"/v1/files/file-1/content", "", 200, "text/csv", "a,b", 200, "text/csv"},
		{"/v1/files/file-1/content", "", 200, "text/xsl", "<x/>", 200, "application/octet-stream"},
		{"/v1/files/file-1/content", "", 200, "message/rfc822", "x", 200, "application/octet-stream"},
		{"/v1/files/file-1/content", "", 200, "application/pdf", "%PDF", 200, "application/octet-stream"},
		{"/v1/files/file-1/content", "", 200, "application/json, text/html", "<script>", 200, "application/octet-stream"},
		{chat, `{"model":"m"}`, 400, "text/xsl", refusal, 400, "application/json"},
		{chat, `{"model":"m"}`, 400, "", refusal, 400, "application/json"},
	} {
		url := gatewaytest.Serve(t, answering(test.status, test.kind, test.body))
		g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
		method := http.MethodPost
		if test.request == "" {
			method = http.MethodGet
		}
		r, err := http.NewRequest(method, g.URL+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		var response *http.Response
		if test.request == "" {
			response, err = g.Client.Do(r)
		} else {
			response = g.Post(t, test.path, test.request)
		}
		if err != nil {
			t.Fatal(err)
		}
		response, text := gatewaytest.Read(t, response)
		if kind := response.Header.Get("Content-Type"); response.StatusCode != test.want || kind != test.wantKind || response.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s, %d %s: got %d %s %v, want %d %s and nosniff", test.path, test.status, test.kind, response.StatusCode, text, response.Header, test.want, test.wantKind)
		}
	}
}

// Whatever headers a provider sends, the client receives one content type, which no browser renders, and none of the provider's secrets.
func TestHostileHeaders(t *testing.T) {
	const hostileKey = "sk-provider-0123456789"
	many := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {strings.Repeat("a", 20_000)}}
	for i := range 200 {
		many.Set(fmt.Sprintf("X-Ratelimit-%d", i), strings.Repeat("1", 100))
	}
	for name, test := range map[string]struct {
		path, body string
		header     http.Header
		want       string
	}{
		"two content types":        {"/v1/chat/completions", answer, http.Header{"Content-Type": {"application/json", "text/html"}}, "application/json"},
		"two for media":            {"/v1/audio/speech", "sound", http.Header{"Content-Type": {"audio/mpeg", "text/html"}}, "audio/mpeg"},
		"named by Connection":      {"/v1/audio/speech", "<html><script>", http.Header{"Content-Type": {"audio/mpeg"}, "Connection": {"content-type"}}, "audio/mpeg"},
		"JSON named by Connection": {"/v1/chat/completions", answer, http.Header{"Content-Type": {"application/json"}, "Connection": {"Content-Type"}}, "application/json"},
		"the key in headers":       {"/v1/chat/completions", answer, http.Header{"Content-Type": {"application/json"}, "Openai-Version": {hostileKey}, "X-Request-Id": {"req " + hostileKey}, "X-Ratelimit-A": {"1", base64.StdEncoding.EncodeToString([]byte(hostileKey))}}, "application/json"},
	} {
		url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), test.header)
			_, _ = io.WriteString(w, test.body)
		}))
		provider := strings.Replace(gatewaytest.Provider("p", url), `"sk-p"`, `"`+hostileKey+`"`, 1)
		g := gatewaytest.Start(t, gatewaytest.Config(provider, gatewaytest.Model("m", "failover", "p")))
		response, text := gatewaytest.Read(t, g.Post(t, test.path, `{"model":"m"}`))
		if got := response.Header["Content-Type"]; len(got) != 1 || got[0] != test.want || text != test.body {
			t.Errorf("%s: got %q %s, want %s", name, got, text, test.want)
		}
		size, count := 0, 0
		for key, values := range response.Header {
			size, count = size+len(key)+len(strings.Join(values, "")), count+len(values)
			if strings.Contains(strings.Join(values, " "), hostileKey) {
				t.Errorf("%s: the client received %s: %q", name, key, values)
			}
		}
		if size > 10<<10 || count > 80 {
			t.Errorf("%s: got %d headers of %d bytes, which Node's and Python's clients refuse", name, count, size)
		}
		if got := response.Header["X-Ratelimit-A"]; got != nil {
			t.Errorf("%s: the client received the key in base64: %q", name, got)
		}
	}
}

// A header that either side's Connection names stays on its connection.
func TestHeadersOfOneConnection(t *testing.T) {
	heard := make(chan http.Header, 1)
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header.Clone()
		w.Header().Set("Connection", "x-ratelimit-hop , Openai-Version")
		w.Header().Set("X-Ratelimit-Hop", "1")
		w.Header().Set("Openai-Version", "1")
		answering(200, "application/json", answer).ServeHTTP(w, r)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + gatewaytest.Token, "Connection": "idempotency-key,Openai-Beta", "Idempotency-Key": "k", "Openai-Beta": "b", "User-Agent": "test/1",
	} {
		r.Header.Set(name, value)
	}
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	gatewaytest.Read(t, response)
	asked := <-heard
	for name, want := range map[string]string{"Idempotency-Key": "", "Openai-Beta": "", "User-Agent": "test/1"} {
		if got := asked.Get(name); got != want {
			t.Errorf("provider got %s %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"X-Ratelimit-Hop": "", "Openai-Version": "", "X-Ratelimit-Remaining-Tokens": "9"} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("client got %s %q, want %q", name, got, want)
		}
	}
}
