package relay_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/berrygate/berry/internal/complexitytest"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A provider's answer of a million elements, each of which would become a struct, is none, plain or as an event, whoever translates it. What
// it takes until it is refused grows with its size alone.
func TestAnswersOfManyElements(t *testing.T) {
	ones := strings.Repeat("1,", 3_000_000) + "1"
	answers := map[string][]string{
		"anthropic": {`{"type":"message","role":"assistant","content":[%s]}`, `{"type":"message_start","message":{"content":[%s]}}`},
		"gemini":    {`{"candidates":[%s]}`, `{"candidates":[{"content":{"parts":[%s]}}]}`, `[{"candidates":[%s]}]`},
		"openai":    {`{"choices":[%s]}`, `{"choices":[{"index":0,"delta":{"tool_calls":[%s]}}]}`},
	}
	for typ, forms := range answers {
		path, request := "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"Hi!"}]`
		if typ == "openai" { // whose answers are translated for clients of Anthropic's API
			path, request = "/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]`
		}
		for _, form := range forms {
			for media, write := range map[string]string{"application/json": form, "text/event-stream": "data: " + form + "\n\n"} {
				url := gatewaytest.Serve(t, answering(200, media, fmt.Sprintf(write, ones)))
				g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", typed(typ, "p", url), gatewaytest.Model("m", "failover", "p")))
				if media == "text/event-stream" {
					request = strings.TrimSuffix(request, `,"stream":true`) + `,"stream":true`
				} else {
					request = strings.TrimSuffix(request, `,"stream":true`)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				response, text := gatewaytest.Read(t, g.Post(t, path, request+"}"))
				runtime.ReadMemStats(&after)
				took := (after.TotalAlloc - before.TotalAlloc) >> 20
				t.Logf("%s %s %s: %d, %d MiB", typ, media, form, response.StatusCode, took)
				if response.StatusCode != 502 || len(text) > 1000 {
					t.Errorf("%s %s %s: %d and %d bytes, want 502", typ, media, form, response.StatusCode, len(text))
				}
				if took > 200 {
					t.Errorf("%s %s %s: %d MiB were allocated, want 200 at most", typ, media, form, took)
				}
			}
		}
	}
}

// However small the budget is, large requests are translated, one after the other.
func TestLargeRequestsTakeTurns(t *testing.T) {
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answering(200, "application/json", `{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi!"}],"stop_reason":"end_turn"}`).ServeHTTP(w, r)
	}))
	toml := strings.Replace(gatewaytest.Config(typed("anthropic", "p", url), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nmax_translation_bytes = 1\n", 1)
	g := gatewaytest.Start(t, toml)
	body := complexitytest.Bodies()["chat: escapes"].Build("m", 1<<20)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", body)); response.StatusCode != 200 {
				t.Errorf("%d %s", response.StatusCode, text)
			}
		})
	}
	all.Wait()
}

// An event of many small parts becomes one chunk, however long the head is that each would have had; one of more parts than any event has is
// an error.
func TestEventsOfManyParts(t *testing.T) {
	const text, call = `{"text":"a"}`, `{"functionCall":{"name":"a"}}`
	for name, test := range map[string]struct {
		part  string
		count int
		long  string
	}{
		"texts":           {text, 90_000, strings.Repeat("i", 250)},
		"calls":           {call, 40_000, strings.Repeat("i", 250)},
		"texts and calls": {text + "," + call, 25_000, strings.Repeat("i", 250)},
		"escaped names":   {call, 40_000, strings.Repeat(`\u0001`, 250)},
		"too many texts":  {text, 200_000, "i"},
	} {
		event := `data: {"responseId":"` + test.long + `","modelVersion":"` + test.long + `","candidates":[{"content":{"parts":[` +
			strings.Repeat(test.part+",", test.count) + test.part + `]},"finishReason":"STOP"}]}` + "\n\n"
		url := gatewaytest.Serve(t, answering(200, "text/event-stream", event))
		g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", typed("gemini", "p", url), gatewaytest.Model("m", "failover", "p")))
		response, got := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`))
		want := http.StatusOK
		if test.count > 100_000 {
			want = http.StatusBadGateway
		}
		if response.StatusCode != want || len(got) > 6*len(event) || want == 200 && !strings.Contains(got, "[DONE]") {
			t.Errorf("%s: got %d and %d bytes for %d, want %d and at most 6 times as many", name, response.StatusCode, len(got), len(event), want)
		}
	}
}

// A provider's header of thousands of fields and options is read once.
func TestManyConnectionOptions(t *testing.T) {
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n")
		for i := range 10_000 {
			fmt.Fprintf(out, "X-Ratelimit-%d:\r\n", i)
		}
		fmt.Fprintf(out, "Connection: %s\r\n\r\n{\"choices\":[]}", strings.Repeat("a,", 10_000)+"x-ratelimit-7")
		_ = out.Flush()
	}))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	response, text := g.Chat(t, "m")
	if response.StatusCode != 200 || response.Header["X-Ratelimit-7"] != nil || len(response.Header) < 50 || len(response.Header) > 100 {
		t.Errorf("%d %s, %d fields", response.StatusCode, text, len(response.Header))
	}
}

// Events that have not arrived whole share a limit of memory. A stream beyond it ends with 503 overloaded, which counts against no backend; when
// the others have ended, the next one passes.
func TestUnfinishedEvents(t *testing.T) {
	for _, typ := range []string{"openai", "anthropic"} {
		finish, begun := make(chan struct{}), make(chan struct{}, 3)
		event := map[string]string{
			"openai":    `{"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("a", 6<<20) + `"},"finish_reason":"stop"}]}`,
			"anthropic": `{"type":"message_start","message":{"id":"` + strings.Repeat("a", 6<<20) + `"}}`,
		}[typ]
		end := map[string]string{
			"openai":    "data: [DONE]\n\n",
			"anthropic": "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
		}[typ]
		url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: "+event)
			_ = http.NewResponseController(w).Flush()
			begun <- struct{}{}
			select {
			case <-finish:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "\n\n"+end)
		}))
		toml := strings.Replace(gatewaytest.Config("[settings]\nmax_retries = 0\n", typed(typ, "p", url), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nmax_translation_bytes = 8388608\n", 1)
		g := gatewaytest.Start(t, toml)
		const request = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`
		var first sync.WaitGroup
		first.Go(func() {
			if response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", request)); response.StatusCode != 200 || !strings.Contains(text, "[DONE]") {
				t.Errorf("%s: the first stream: got %d %.200s, want 200 and [DONE]", typ, response.StatusCode, text)
			}
		})
		<-begun
		response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", request))
		if response.StatusCode != 503 || !strings.Contains(text, "overloaded") {
			t.Errorf("%s: the second stream: got %d %.200s, want 503 overloaded", typ, response.StatusCode, text)
		}
		<-begun
		close(finish)
		first.Wait()
		if response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", request)); response.StatusCode != 200 || !strings.Contains(text, "[DONE]") {
			t.Errorf("%s: the third stream: got %d %.200s, want 200 and [DONE]", typ, response.StatusCode, text)
		}
	}
}
