package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berrygate/berry/internal/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const answer = `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`

// chunk is an event of a stream; finish is JSON.
func chunk(text, finish string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":%s}]}\n\n", text, finish)
}

// A script is a provider that does what it is told, attempt by attempt; after the last step it repeats that.
type script struct {
	steps    []http.HandlerFunc
	attempts atomic.Int64
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.attempts.Add(1)) - 1
	_, _ = io.Copy(io.Discard, r.Body)
	s.steps[min(n, len(s.steps)-1)](w, r)
}

// say answers with a status and a JSON body; headers come in pairs.
func say(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// stream sends the events, each flushed, and then does last, if there is one.
func stream(last http.HandlerFunc, events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			_, _ = io.WriteString(w, e)
			_ = http.NewResponseController(w).Flush()
		}
		if last != nil {
			last(w, r)
		}
	}
}

// raw takes the connection over, writes bytes, and then keeps it open until the other side closes it, or closes it itself.
func raw(bytes string, open bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, bytes)
		if open {
			_, _ = c.Read(make([]byte, 1))
		}
	}
}

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// pair is a gateway whose model "m" fails over from the provider "first" to "second"; "alone" has the first alone.
func pair(t *testing.T, settings string, first, second *script) *gatewaytest.Gateway {
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\n"+settings,
		gatewaytest.Provider("first", gatewaytest.Serve(t, first)), gatewaytest.Provider("second", gatewaytest.Serve(t, second)), `
[models.m]
strategy = "failover"
[[models.m.backends]]
provider = "first"
model = "one"
priority = 1
[[models.m.backends]]
provider = "second"
model = "two"
priority = 2
[models.alone]
strategy = "failover"
[[models.alone.backends]]
provider = "first"
model = "one"
`))
}

// The responses that clients receive for each kind of failure of the first backend.
func TestFaults(t *testing.T) {
	const boom = `{"error":{"message":"boom","type":"server_error","code":null}}`
	good := chunk("hel", "null") + chunk("lo", `"stop"`) + "data: [DONE]\n\n"
	type result struct {
		status        int
		body          string // all of it, or what it must contain if it begins with "…"
		first, second int64  // attempts
	}
	for name, test := range map[string]struct {
		settings, model string
		steps           []http.HandlerFunc
		want            result
	}{
		"500 once, another backend":           {"", "m", []http.HandlerFunc{say(500, boom), say(200, answer)}, result{200, answer, 1, 1}},
		"500 once, alone":                     {"", "alone", []http.HandlerFunc{say(500, boom), say(200, answer)}, result{200, answer, 2, 0}},
		"500 once, same backend first":        {"same_backend_retries = 1", "m", []http.HandlerFunc{say(500, boom), say(200, answer)}, result{200, answer, 2, 0}},
		"503 always, alone":                   {"max_retries = 1", "alone", []http.HandlerFunc{say(503, boom)}, result{503, boom, 2, 0}},
		"500 in HTML, alone":                  {"max_retries = 0", "alone", []http.HandlerFunc{say(500, "<html>")}, result{502, `…"upstream_error"`, 1, 0}},
		"no retries":                          {"max_retries = 0", "m", []http.HandlerFunc{say(500, boom)}, result{500, boom, 1, 0}},
		"429, another backend":                {"", "m", []http.HandlerFunc{say(429, boom, "Retry-After", "60")}, result{200, answer, 1, 1}},
		"429 with a short Retry-After, alone": {"", "alone", []http.HandlerFunc{say(429, boom, "Retry-After-Ms", "30"), say(200, answer)}, result{200, answer, 2, 0}},
		"429 with a long Retry-After, alone":  {"", "alone", []http.HandlerFunc{say(429, boom, "Retry-After", "86400")}, result{429, boom, 1, 0}},
		"429, waited for":                     {"retry_after_wait_seconds = 2", "m", []http.HandlerFunc{say(429, boom, "Retry-After", "1"), say(200, answer)}, result{200, answer, 2, 0}},
		"reset before headers":                {"", "m", []http.HandlerFunc{reset}, result{200, answer, 1, 1}},
		"reset before headers, alone":         {"", "alone", []http.HandlerFunc{reset, say(200, answer)}, result{200, answer, 2, 0}},
		"silence":                             {"request_timeout_seconds = 1", "m", []http.HandlerFunc{silence}, result{200, answer, 1, 1}},
		"silence, alone":                      {"request_timeout_seconds = 1", "alone", []http.HandlerFunc{silence}, result{504, `…"upstream_timeout"`, 1, 0}},
		"401":                                 {"", "m", []http.HandlerFunc{say(401, `{"error":{"message":"bad key sk-first"}}`)}, result{200, answer, 1, 1}},
		"401, alone":                          {"", "alone", []http.HandlerFunc{say(401, `{"error":{"message":"bad key sk-first"}}`)}, result{502, `…"upstream_error"`, 1, 0}},
		"400":                                 {"", "m", []http.HandlerFunc{say(400, `{"error": {"code":"invalid_value"} }`)}, result{400, `{"error": {"code":"invalid_value"} }`, 1, 0}},
		"a prompt that is too long":           {"", "m", []http.HandlerFunc{say(400, `{"error": {"code":"context_length_exceeded"} }`)}, result{200, answer, 1, 1}},
		"a prompt that is too long, alone":    {"", "alone", []http.HandlerFunc{say(400, `{"error": {"code":"context_length_exceeded"} }`)}, result{400, `{"error": {"code":"context_length_exceeded"} }`, 1, 0}},
		"404 of the model":                    {"", "m", []http.HandlerFunc{say(404, `{"error":{"message":"no","code":"model_not_found"}}`)}, result{200, answer, 1, 1}},
		"404 of something else":               {"", "m", []http.HandlerFunc{say(404, `{"error":{"message":"no such file"}}`)}, result{404, `{"error":{"message":"no such file"}}`, 1, 0}},
		"redirect":                            {"", "m", []http.HandlerFunc{say(307, "", "Location", "http://127.0.0.1:9/")}, result{200, answer, 1, 1}},
		"200 that is no JSON":                 {"", "m", []http.HandlerFunc{say(200, "<html>")}, result{200, answer, 1, 1}},
		"200 with an error":                   {"", "m", []http.HandlerFunc{say(200, `{"error":{"type":"server_error"}}`)}, result{200, answer, 1, 1}},
		"200 with error null":                 {"", "m", []http.HandlerFunc{say(200, `{"error":null,"choices":[]}`)}, result{200, `{"error":null,"choices":[]}`, 1, 0}},
		"truncated body":                      {"", "m", []http.HandlerFunc{say(200, answer[:40], "Content-Length", "500")}, result{200, answer, 1, 1}},
		"101":                                 {"", "m", []http.HandlerFunc{raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true)}, result{200, answer, 1, 1}},
		"no HTTP, and it quotes the key":      {"", "m", []http.HandlerFunc{raw("HTTP/1.1 sk-first oh\r\n\r\n", false)}, result{200, answer, 1, 1}},
		"compressed without being asked":      {"", "m", []http.HandlerFunc{say(200, answer, "Content-Encoding", "gzip")}, result{200, answer, 1, 1}},
		"exactly as much as is held, no JSON": {"", "m", []http.HandlerFunc{say(200, strings.Repeat("x", 8<<20))}, result{200, answer, 1, 1}},
		"events, which nobody asked for":      {"", "m", []http.HandlerFunc{stream(nil, good)}, result{200, answer, 1, 1}},
		"stream of its end alone":             {"", "m", []http.HandlerFunc{stream(nil, "data: [DONE]\n\n")}, result{200, answer, 1, 1}},
		"stream with a late chunk":            {"", "m", []http.HandlerFunc{stream(nil, chunk("a", `"stop"`), chunk("", "null"))}, result{200, chunk("a", `"stop"`) + chunk("", "null") + "data: [DONE]\n\n", 1, 0}},
		"whole stream":                        {"", "m", []http.HandlerFunc{stream(nil, good)}, result{200, good, 1, 0}},
		"stream with comments first":          {"", "m", []http.HandlerFunc{stream(nil, ": wait\n\n", good)}, result{200, ": wait\n\n" + good, 1, 0}},
		"stream without its [DONE]":           {"", "m", []http.HandlerFunc{stream(nil, chunk("hello", `"stop"`))}, result{200, chunk("hello", `"stop"`) + "data: [DONE]\n\n", 1, 0}},
		"stream with a broken event":          {"", "m", []http.HandlerFunc{stream(nil, chunk("a", "null"), "data: {\"choices\":[\n\n", chunk("b", `"stop"`), "data: [DONE]\n\n")}, result{200, chunk("a", "null") + chunk("b", `"stop"`) + "data: [DONE]\n\n", 1, 0}},
		"stream that begins with an error":    {"", "m", []http.HandlerFunc{stream(nil, "data: {\"error\":{\"type\":\"server_error\"}}\n\n")}, result{200, answer, 1, 1}},
		"stream cut before its first event":   {"", "m", []http.HandlerFunc{stream(reset, ": wait\n\n")}, result{200, answer, 1, 1}},
		"stream of nothing":                   {"", "m", []http.HandlerFunc{stream(nil)}, result{200, answer, 1, 1}},
		"stream cut in the middle":            {"", "m", []http.HandlerFunc{stream(reset, chunk("hel", "null"), "data: {\"cho")}, result{200, "…" + chunk("hel", "null") + "data: {\"error\":{\"message\":\"The provider's answer broke off", 1, 0}},
		"stream ended before its terminal":    {"", "m", []http.HandlerFunc{stream(nil, chunk("hel", "null"))}, result{200, "…" + chunk("hel", "null") + "data: {\"error\":{\"message\":\"The provider's answer broke off", 1, 0}},
		"stream without finish reasons":       {"", "m", []http.HandlerFunc{stream(nil, chunk("a", "null"), "data: [DONE]\n\n")}, result{200, chunk("a", "null") + "data: [DONE]\n\n", 1, 0}},
		"stream with an unfinished choice":    {"", "m", []http.HandlerFunc{stream(nil, "data: {\"choices\":[{\"index\":1,\"delta\":{}}]}\n\n", chunk("a", `"stop"`))}, result{200, "…data: {\"error\":{\"message\":\"The provider's answer broke off", 1, 0}},
		"stream with a bad key in the middle": {"", "m", []http.HandlerFunc{stream(nil, chunk("a", "null"), "data: {\"error\":{\"code\":\"invalid_api_key\",\"message\":\"bad key sk-first\"}}\n\n")}, result{200, "…data: {\"error\":{\"message\":\"The provider's answer broke off", 1, 0}},
		"stream that is an error, alone":      {"max_retries = 0", "alone", []http.HandlerFunc{stream(nil, "data: {\"error\":{\"type\":\"server_error\"}}\n\n")}, result{500, `{"error":{"type":"server_error"}}`, 1, 0}},
		"stream that stalls":                  {"stream_idle_timeout_seconds = 1", "m", []http.HandlerFunc{stream(silence, chunk("hel", "null"))}, result{200, "…\"code\":\"upstream_timeout\"", 1, 0}},
		"stream with an error in the middle":  {"", "m", []http.HandlerFunc{stream(nil, chunk("hel", "null"), "data: {\"error\":{\"message\":\"x\"}}\n\n")}, result{200, chunk("hel", "null") + "data: {\"error\":{\"message\":\"x\"}}\n\n", 1, 0}},
		"late first token":                    {"first_token_timeout_seconds = 1", "m", []http.HandlerFunc{stream(silence)}, result{200, answer, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := &script{steps: test.steps}, &script{steps: []http.HandlerFunc{say(200, answer)}}
			g := pair(t, test.settings, first, second)
			streamed := strings.Contains(name, "stream") || strings.Contains(name, "token")
			response, body := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"stream":%v}`, test.model, streamed)))
			contains, partly := strings.CutPrefix(test.want.body, "…")
			if response.StatusCode != test.want.status || body != test.want.body && (!partly || !strings.Contains(body, contains)) {
				t.Errorf("%d %q\nwant %d %q", response.StatusCode, body, test.want.status, test.want.body)
			}
			if f, s := first.attempts.Load(), second.attempts.Load(); f != test.want.first || s != test.want.second {
				t.Errorf("%d attempts at the first, %d at the second; want %d and %d", f, s, test.want.first, test.want.second)
			}
			if kind := response.Header.Get("Content-Type"); (kind == "text/event-stream") != strings.Contains(body, "data: ") || kind == "" {
				t.Errorf("content type %q", kind)
			}
			if partly && strings.Contains(body, "[DONE]") {
				t.Error("a broken stream was passed off as whole")
			}
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			if strings.Contains(body+g.Log.String(), "sk-first") {
				t.Error("the provider's key shows")
			}
		})
	}
}

// The client receives the first event before the upstream has sent the last one, byte for byte.
func TestStreamPassesAsItArrives(t *testing.T) {
	release := make(chan struct{})
	events := []string{": hi\r\n\r\n", chunk("žluť", "null"), "event: x\nid: 7\n" + chunk("\u2028", "null"), chunk("", `"stop"`), "data: [DONE]\n\n"}
	first := &script{steps: []http.HandlerFunc{stream(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, strings.Join(events[2:], ""))
	}, events[:2]...)}}
	g := pair(t, "", first, first)
	response := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	defer response.Body.Close()
	begin := strings.Join(events[:2], "")
	got := make([]byte, len(begin))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != begin {
		t.Fatalf("%q, %v", got, err)
	}
	close(release)
	rest, err := io.ReadAll(response.Body)
	if err != nil || string(rest) != strings.Join(events[2:], "") {
		t.Errorf("%q, %v; want %q", rest, err, events[2:])
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Error(kind)
	}
}

// A malformed event does not delay the valid event before it.
func TestDroppedEventDoesNotDelay(t *testing.T) {
	release := make(chan struct{})
	first := &script{steps: []http.HandlerFunc{stream(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, chunk("b", `"stop"`)+"data: [DONE]\n\n")
	}, chunk("a", "null")+"data: {\n\n")}}
	g := pair(t, "", first, first)
	response := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	defer response.Body.Close()
	got := make([]byte, len(chunk("a", "null")))
	if _, err := io.ReadFull(response.Body, got); err != nil {
		t.Fatal(err)
	}
	close(release)
	gatewaytest.Read(t, response)
}

// Credentials and hop-by-hop headers pass in neither direction, and the body differs only in the model.
func TestWhatTheProviderGets(t *testing.T) {
	var mu sync.Mutex
	var header http.Header
	var body string
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		header, body = r.Header.Clone(), string(b)
		mu.Unlock()
		w.Header().Set("Set-Cookie", "session=provider")
		w.Header().Set("Openai-Organization", "org-operator")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "9")
		say(200, answer)(w, r)
	})
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, upstream)), `headers = { "X-Team" = "berry" }
[models.m]
strategy = "failover"
[[models.m.backends]]
provider = "p"
model = "a/b\"c"
`))
	sent := "{ \"n\":1.50E+2, \"model\" : \"m\", \"\\u0078\":\"\\u00e9\\/\", \"big\":123456789012345678901234567890 }\n"
	r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + gatewaytest.Token, "Cookie": "a=b", "X-Api-Key": "client-key", "Proxy-Authorization": "Basic x",
		"Connection": "X-Hop", "X-Hop": "1", "Openai-Organization": "org-client", "Idempotency-Key": "idem-1", "User-Agent": "test/1",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		r.Header.Set(name, value)
	}
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	gatewaytest.Read(t, response)

	mu.Lock()
	defer mu.Unlock()
	if want := strings.Replace(sent, `"m"`, `"a/b\"c"`, 1); body != want {
		t.Errorf("body %q, want %q", body, want)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer sk-p", "Cookie": "", "X-Api-Key": "", "Proxy-Authorization": "", "X-Hop": "", "Connection": "",
		"Openai-Organization": "", "Idempotency-Key": "84656119243b000e3893ec12f81ee46a63801b6467a486cc6a08728293c6e846" /* alice's own */, "User-Agent": "test/1", "X-Team": "berry",
		"Content-Type": "application/json", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("provider got %s %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Set-Cookie": "", "Openai-Organization": "", "X-Ratelimit-Remaining-Tokens": "9", "X-Berry-Provider": "p",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("client got %s %q, want %q", name, got, want)
		}
	}
}

// An answer above what is held passes whole; one that is cut after its beginning takes the client's connection with it.
func TestLargeAnswers(t *testing.T) {
	large := `{"data":"` + strings.Repeat("x", 20<<20) + `"}`
	whole := &script{steps: []http.HandlerFunc{say(200, large)}}
	g := pair(t, "", whole, whole)
	if response, body := g.Chat(t, "m"); response.StatusCode != 200 || body != large {
		t.Errorf("%d, %d bytes of %d", response.StatusCode, len(body), len(large))
	}
	cut := &script{steps: []http.HandlerFunc{say(200, large[:12<<20], "Content-Length", fmt.Sprint(len(large)))}}
	g = pair(t, "", cut, cut)
	response := g.Post(t, "/v1/chat/completions", `{"model":"m"}`)
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("%d bytes and a clean end", n)
	}
}

// A slow client receives the complete response, and the provider stays healthy.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const events = 20_000
	first := &script{steps: []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			stream(nil, strings.Repeat(chunk(strings.Repeat("x", 1000), "null"), events)+chunk("", `"stop"`)+"data: [DONE]\n\n")(w, r)
		},
		say(200, `{"x":"`+strings.Repeat("x", 20<<20)+`"}`),
	}}
	g := pair(t, "stream_idle_timeout_seconds = 4\nrequest_timeout_seconds = 4\nfailure_threshold = 1", first, first)
	for _, body := range []string{`{"model":"alone","stream":true}`, `{"model":"alone"}`} {
		response := g.Post(t, "/v1/chat/completions", body)
		time.Sleep(5 * time.Second) // longer than every limit
		if _, text := gatewaytest.Read(t, response); len(text) < 20_000_000 || strings.Contains(text, "error") {
			t.Errorf("%s: %d bytes, ending in %q", body, len(text), text[max(0, len(text)-200):])
		}
	}
	if strings.Contains(g.Log.String(), "cooling") {
		t.Error("the provider is blamed")
	}
}

// An HTTP/2 stream reset counts as a connection reset.
func TestResetOverHTTP2(t *testing.T) {
	first := &script{steps: []http.HandlerFunc{reset, say(200, answer)}}
	s := httptest.NewUnstartedServer(first)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	certificates := filepath.Join(t.TempDir(), "ca.pem")
	pemBytes := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(certificates, pemBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", s.URL)+fmt.Sprintf("ca_file = %q\n", certificates), gatewaytest.Model("m", "failover", "p")))
	if response, text := g.Chat(t, "m"); response.StatusCode != 200 || first.attempts.Load() != 2 {
		t.Errorf("%d %s after %d attempts", response.StatusCode, text, first.attempts.Load())
	}
}

// A disconnect of the client cancels the attempt at the provider and does not affect the backend's health.
func TestClientLeaves(t *testing.T) {
	left, cancelled := make(chan time.Time, 2), make(chan time.Time, 2)
	gone := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		left <- time.Now()
	}
	first := &script{steps: []http.HandlerFunc{gone, stream(gone, chunk("a", "null"))}}
	g := pair(t, "failure_threshold = 1", first, first)
	for _, body := range []string{`{"model":"alone"}`, `{"model":"alone","stream":true}`} {
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		before := first.attempts.Load()
		go func() {
			gatewaytest.Wait(t, "the attempt has begun", func() bool { return first.attempts.Load() > before })
			time.Sleep(20 * time.Millisecond)
			cancelled <- time.Now()
			cancel()
		}()
		if response, err := g.Client.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		t.Logf("%s: cancelled upstream %v after the client has left", body, (<-left).Sub(<-cancelled))
	}
	gatewaytest.Wait(t, "both are logged as cancelled", func() bool { return strings.Count(g.Log.String(), `"outcome":"cancelled"`) == 2 })
	status, err := g.Client.Get(g.AdminURL + "/admin/status")
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, status); strings.Contains(text, "cooling") || !strings.Contains(text, `"in_flight": 0`) || strings.Contains(text, `"in_flight": 1`) {
		t.Error(text)
	}
}

// A request that meets the end of a kept connection is sent once more, over a new one; net/http's transport does not send it again on its
// own, even when its caller named it idempotent.
func TestNobodyRetriesBehindOurBack(t *testing.T) {
	var connections atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // answers the first request of a connection, and hangs up on the second
				defer c.Close()
				r := bufio.NewReader(c)
				for i := range 2 {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					connections.Add(1)
					if i == 0 {
						fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0", gatewaytest.Provider("p", "http://"+l.Addr().String()), gatewaytest.Model("m", "failover", "p")))
	for _, want := range []int{200, 200} {
		r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
		r.Header.Set("Idempotency-Key", "1")
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if gatewaytest.Read(t, response); response.StatusCode != want {
			t.Errorf("%d, want %d", response.StatusCode, want)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("the provider got %d requests of 3", n)
	}
}

// Through real sockets too, what the upstream receives differs from what the client sent in the model's value alone.
func FuzzUntouched(f *testing.F) {
	bodies := make(chan []byte, 1)
	g := gatewaytest.Start(f, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- b
		say(200, answer)(w, r)
	}))), "[models.m]\nstrategy = \"failover\"\n[[models.m.backends]]\nprovider = \"p\"\nmodel = \"provider's\"\n"))
	f.Add("temperature", []byte(`1.50e+1`), " ")
	f.Add("méss\tage", []byte(`[{"model":"inner","content":"\u00e9\ud83d\ude00"}]`), "\n\t")
	f.Fuzz(func(t *testing.T, key string, value []byte, space string) {
		if !json.Valid(value) || strings.Trim(space, " \t\r\n") != "" || strings.EqualFold(key, "model") {
			t.Skip()
		}
		quoted, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("{%s%s:%s,%s\"model\":", space, quoted, value, space)
		after := fmt.Sprintf("%s,%s\"\\u007a\":%s}%s", space, space, value, space)
		response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", before+`"m"`+after))
		if response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
		if got := <-bodies; !bytes.Equal(got, []byte(before+`"provider's"`+after)) {
			t.Fatalf("sent %q, arrived %q", before+`"m"`+after, got)
		}
	})
}
