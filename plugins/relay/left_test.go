package relay_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// A reporter is a provider that says something of its answer, tokens included, and then no more.
func reporter(kind, said string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, said)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// dataEvents returns a stream of events with the data.
func dataEvents(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		fmt.Fprintf(&b, "data: %s\n\n", d)
	}
	return b.String()
}

const (
	chatRequest     = `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`
	messagesRequest = `{"model":"m","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Hi!"}]}`
	responseRequest = `{"model":"m","stream":true,"input":"Hi!"}`

	chatWord      = `{"id":"1","choices":[{"index":0,"delta":{"content":"Hello"}}]}`
	chatUsed      = `{"id":"1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}`
	messageBegins = `{"type":"message_start","message":{"id":"1","model":"one","usage":{"input_tokens":7,"output_tokens":1}}}`
	blockBegins   = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	messageWord   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`
	messageUsed   = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}`
	contentUsed   = `{"candidates":[{"content":{"parts":[{"text":"Hello"}]}}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3}}`
	responseWord  = `{"type":"response.output_text.delta","delta":"Hello"}`
	responseDone  = `{"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","usage":{"input_tokens":7,"output_tokens":3}}}`
)

// What a provider has reported of a stream before the client left is in the metrics, the span, the log and the status.
func TestUsageOfStreamsWhoseClientLeft(t *testing.T) {
	for name, test := range map[string]struct {
		typ, path, request, said string
		output                   int // tokens, beside 7 of input
	}{
		"chat":                          {"openai", "/chat/completions", chatRequest, dataEvents(chatWord, chatUsed), 3},
		"chat at azure":                 {"azure", "/chat/completions", chatRequest, dataEvents(chatWord, chatUsed), 3},
		"chat at anthropic":             {"anthropic", "/chat/completions", chatRequest, dataEvents(messageBegins, blockBegins, messageWord), 1},
		"chat at anthropic, to its end": {"anthropic", "/chat/completions", chatRequest, dataEvents(messageBegins, blockBegins, messageWord, messageUsed), 3},
		"chat at gemini":                {"gemini", "/chat/completions", chatRequest, dataEvents(contentUsed), 3},
		"message":                       {"anthropic", "/messages", messagesRequest, dataEvents(messageBegins, blockBegins, messageWord), 1},
		"message, to its end":           {"anthropic", "/messages", messagesRequest, dataEvents(messageBegins, blockBegins, messageWord, messageUsed), 3},
		"message at openai":             {"openai", "/messages", messagesRequest, dataEvents(chatWord, chatUsed), 3},
		"message at gemini":             {"gemini", "/messages", messagesRequest, dataEvents(contentUsed), 3},
		"response":                      {"openai", "/responses", responseRequest, dataEvents(responseWord, responseDone), 3},
		"response that comes in pieces": {"openai", "/responses", responseRequest, dataEvents(responseWord, `{"type":"response.in_progress","response":{"usage":{"input_tokens":7,"output_tokens":3}}}`), 3},
	} {
		t.Run(name, func(t *testing.T) {
			g, spans := startReporting(t, test.typ, reporter("text/event-stream", test.said))
			ctx, leave := context.WithCancel(t.Context())
			response := g.ask(ctx, t, test.path, test.request)
			lines := bufio.NewScanner(response.Body)
			for lines.Scan() && !strings.Contains(lines.Text(), "Hello") {
			}
			leave()
			_ = response.Body.Close()
			g.counted(t, spans, 7, test.output)
		})
	}
}

// What a response has used that fails after its beginning is billed, and counted for its backend.
func TestUsageOfFailedResponse(t *testing.T) {
	const failed = `{"type":"response.failed","response":{"object":"response","error":{"code":"server_error"},"usage":{"input_tokens":7,"output_tokens":3}}}`
	g, _ := startReporting(t, "openai", reporter("text/event-stream", dataEvents(responseWord, failed)))
	_, _ = gatewaytest.Read(t, g.ask(t.Context(), t, "/responses", responseRequest))
	gatewaytest.Wait(t, "the exchange has ended", func() bool { return strings.Contains(g.Log.String(), `"msg":"exchange"`) })
	if a := g.Status(t).Models[0].Backends[0].Attempts; a.InputTokens != 7 || a.OutputTokens != 3 || a.Failed != 1 {
		t.Errorf("the backend has %+v, want 1 failed attempt of 7 and 3 tokens", a)
	}
}

// What a client does not take of a plain answer is counted, too.
func TestUsageOfAnswersWhoseClientLeft(t *testing.T) {
	long := strings.Repeat("x", 6<<20) // more than the sockets' buffers hold
	for typ, answer := range map[string]string{
		"openai":    `{"id":"1","choices":[{"index":0,"message":{"content":"` + long + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`,
		"azure":     `{"id":"1","choices":[{"index":0,"message":{"content":"` + long + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`,
		"anthropic": `{"type":"message","id":"1","content":[{"type":"text","text":"` + long + `"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3}}`,
		"gemini":    `{"candidates":[{"content":{"parts":[{"text":"` + long + `"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3}}`,
	} {
		t.Run(typ, func(t *testing.T) {
			g, spans := startReporting(t, typ, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answer)
			}))
			ctx, leave := context.WithCancel(t.Context())
			response := g.ask(ctx, t, "/chat/completions", strings.Replace(chatRequest, `"stream":true,`, "", 1))
			leave() // the beginning of the answer is here
			_ = response.Body.Close()
			g.counted(t, spans, 7, 3)
			if n := g.Status(t).Models[0].Backends[0].Attempts.Cancelled; n != 1 {
				t.Errorf("%d attempts were cancelled, want 1", n)
			}
		})
	}
}

// A reporting is a gateway in front of one provider.
type reporting struct{ *gatewaytest.Gateway }

func startReporting(t *testing.T, typ string, provider http.Handler) (*reporting, *otlptest.Receiver) {
	t.Helper()
	spans := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", spans.URL+"/v1/traces")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	g := gatewaytest.Start(t, gatewaytest.Config(typed(typ, "p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p")))
	return &reporting{g}, spans
}

func (g *reporting) ask(ctx context.Context, t *testing.T, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// counted checks that the one exchange's tokens are wherever tokens are shown.
func (g *reporting) counted(t *testing.T, spans *otlptest.Receiver, input, output int) {
	t.Helper()
	gatewaytest.Wait(t, "the exchange has ended", func() bool { return strings.Contains(g.Log.String(), `"msg":"exchange"`) })
	if want := fmt.Sprintf(`"input_tokens":%d,"output_tokens":%d`, input, output); !strings.Contains(g.Log.String(), want) {
		t.Errorf("no %s in the log", want)
	}
	page := g.Page(t, "/metrics")
	for direction, n := range map[string]int{"input": input, "output": output} {
		want := fmt.Sprintf(`gen_ai_token_type=%q} %d`, direction, n)
		if !slices.ContainsFunc(strings.Split(page, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "gen_ai_client_token_usage_sum{") && strings.HasSuffix(line, want)
		}) {
			t.Errorf("no sum of %d tokens of %s in the metrics", n, direction)
		}
	}
	s := g.Status(t)
	if a := s.Models[0].Backends[0].Attempts; int(a.InputTokens) != input || int(a.OutputTokens) != output {
		t.Errorf("the backend has used %d and %d tokens, want %d and %d", a.InputTokens, a.OutputTokens, input, output)
	}
	if u := s.Users[0]; int(u.InputTokens) != input || int(u.OutputTokens) != output {
		t.Errorf("the user has used %d and %d tokens, want %d and %d", u.InputTokens, u.OutputTokens, input, output)
	}
	gatewaytest.Wait(t, "the spans are exported", func() bool { return strings.Contains(otlptest.Tree(spans.Spans()), "(server)") })
	if tree := otlptest.Tree(spans.Spans()); !strings.Contains(tree, fmt.Sprintf("gen_ai.usage.input_tokens: %d\n", input)) || !strings.Contains(tree, fmt.Sprintf("gen_ai.usage.output_tokens: %d\n", output)) {
		t.Errorf("want %d and %d tokens in\n%s", input, output, tree)
	}
}
