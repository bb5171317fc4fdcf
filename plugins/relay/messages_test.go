package relay_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// What an anthropic provider says, and what a client of Anthropic's API gets of it.
const (
	messageAnswer = `{"id":"msg_1","type":"message","role":"assistant","model":"one","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}`
	messageHead   = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"one\",\"content\":[],\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n"
	messagePing   = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
	messageBlock  = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
	messagePiece  = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n"
	messageEnd    = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n"
	messageStop   = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	messageStream = messageHead + messagePing + messageBlock + messagePiece + messageEnd + messageStop
)

// message sends a request as Anthropic's clients do, as alice.
func message(t *testing.T, g *gatewaytest.Gateway, path, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", gatewaytest.Token)
	r.Header.Set("Anthropic-Version", "2030-01-01")
	r.Header.Set("Anthropic-Beta", "news-2030-01-01")
	r.Header.Set("X-Stainless-Lang", "go")
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytest.Read(t, response)
}

// To a provider that speaks Anthropic's API all bytes pass as they are but the model's name, and so do its answers.
func TestMessagesPass(t *testing.T) {
	type asked struct {
		path, body string
		header     http.Header
	}
	got := make(chan asked, 1)
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- asked{r.URL.Path, string(b), r.Header}
		switch {
		case strings.HasSuffix(r.URL.Path, "/count_tokens"):
			say(200, `{"input_tokens":7}`)(w, r)
		case strings.Contains(string(b), `"stream": true`):
			stream(nil, messageStream)(w, r)
		default:
			say(200, messageAnswer, "Request-Id", "req_1")(w, r)
		}
	}))
	own := strings.Replace(gatewaytest.Model("own", "failover", "p"), "strategy", "response_model = \"client\"\nstrategy", 1)
	g := gatewaytest.Start(t, gatewaytest.Config(typed("anthropic", "p", url), gatewaytest.Model("m", "failover", "p"), own))
	for _, test := range []struct{ model, path, more, want string }{
		{"m", "/v1/messages", `"news": {"a":1.0}`, messageAnswer},
		{"m", "/v1/messages", `"stream": true`, messageStream},
		{"m", "/v1/messages/count_tokens", `"messages": []`, `{"input_tokens":7}`},
		{"own", "/v1/messages", `"max_tokens": 1`, strings.Replace(messageAnswer, `"one"`, `"own"`, 1)},
		{"own", "/v1/messages", `"stream": true`, strings.Replace(messageStream, `"one"`, `"own"`, 1)},
	} {
		response, text := message(t, g, test.path, `{"model": "`+test.model+`", `+test.more+` }`)
		if response.StatusCode != 200 || text != test.want {
			t.Errorf("%s %s: %d %s", test.path, test.more, response.StatusCode, text)
		}
		a := <-got
		if a.path != test.path || a.body != `{"model": "one", `+test.more+` }` {
			t.Errorf("%s was asked %s", a.path, a.body)
		}
		h := a.header
		if h.Get("X-Api-Key") != "sk-p" || h.Get("Anthropic-Version") != "2030-01-01" || h.Get("Anthropic-Beta") != "news-2030-01-01" || h["Authorization"] != nil || h["X-Stainless-Lang"] != nil {
			t.Errorf("with %v", h)
		}
	}
	b := g.Status(t).Models[0].Backends[0].Attempts
	if b.InputTokens != 4*7 || b.OutputTokens != 1+9+1+9 || b.Answered != 5 {
		t.Errorf("%+v", b)
	}
}
