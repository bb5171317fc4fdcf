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
	a := g.Status(t).Upstreams[0].Attempts
	if a.InputTokens != 4*7 || a.OutputTokens != 1+9+1+9 || a.Answered != 5 {
		t.Errorf("%+v", a)
	}
}

// messaging is a gateway whose model "m" fails over from "first" to "second", both of which speak Anthropic's API.
func messaging(t *testing.T, more string, first, second http.HandlerFunc) *gatewaytest.Gateway {
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\nkeep_alive_seconds = 1\nmax_retries = 1\nstream_idle_timeout_seconds = 1\n",
		typed("anthropic", "first", gatewaytest.Serve(t, first)), typed("anthropic", "second", gatewaytest.Serve(t, second)),
		"[models.m]\nstrategy = \"failover\"\n"+more+"\n[[models.m.backends]]\nprovider = \"first\"\nmodel = \"one\"\n[[models.m.backends]]\nprovider = \"second\"\nmodel = \"one\"\npriority = 1\n"))
}

// What a stream of a message is to the relay: its head commits nothing, its terminal is supplied, what breaks is told in Anthropic's
// words, and recovery holds it back.
func TestMessageStreams(t *testing.T) {
	const overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
	const quoting = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"sk-first is gone\"}}\n\n"
	const restart = `stream_recovery = "restart"`
	begun := messageHead + messageBlock + messagePiece
	broken := func(typ, why string) string {
		return "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"" + typ + "\",\"message\":\"" + why + "\"},\"request_id\":\"r-1\"}\n\n"
	}
	const off = "The provider's answer broke off; what came before this is incomplete."
	for name, test := range map[string]struct {
		more          string
		first, second http.HandlerFunc
		want          string
	}{
		"overloaded after its head":     {"", stream(nil, messageHead, messagePing, overloaded), stream(nil, messageStream), messageStream},
		"cut after its head":            {"", stream(reset, messageHead, messagePing), stream(nil, messageStream), messageStream},
		"its last event is missing":     {"", stream(nil, begun+messageEnd), reset, begun + messageEnd + messageStop},
		"no reason to stop":             {"", stream(nil, begun), reset, begun + broken("api_error", off)},
		"cut":                           {"", stream(reset, begun), reset, begun + broken("api_error", off)},
		"stalled":                       {"", stream(silence, begun), reset, begun + broken("timeout_error", off)},
		"overloaded within":             {"", stream(nil, begun, overloaded), reset, begun + overloaded},
		"an error that quotes the key":  {"", stream(nil, begun, quoting), reset, begun + broken("api_error", off)},
		"broken JSON":                   {"", stream(nil, begun, "data: {\n\n", messageEnd, messageStop), reset, begun + messageEnd + messageStop},
		"what nobody knows":             {"", stream(nil, begun, "event: news\ndata: {\"type\":\"news\"}\n\n", messageEnd, messageStop), reset, begun + "event: news\ndata: {\"type\":\"news\"}\n\n" + messageEnd + messageStop},
		"a head in lines":               {"response_model = \"client\"", stream(nil, strings.Replace(messageHead, ",", ",\ndata: ", 1)+messageBlock, messageEnd, messageStop), reset, strings.Replace(messageHead, `"one"`, `"m"`, 1) + messageBlock + messageEnd + messageStop},
		"empty":                         {"", stream(nil, messageHead, messageStop), stream(nil, messageStream), messageStream},
		"recovered":                     {restart, stream(reset, begun), stream(nil, messageStream), strings.Replace(messageStream, messagePing, "", 1)},
		"recovered without its last":    {restart, stream(nil, begun+messageEnd), reset, begun + messageEnd + messageStop},
		"not recovered, after comments": {restart, stream(silence, begun), stream(silence, begun), broken("timeout_error", "No provider answered in time; try again, or ask for less.")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := messaging(t, test.more, test.first, test.second)
			response, text := messageAs(t, g, "r-1", `{"model":"m","max_tokens":9,"stream":true}`)
			if text = strings.ReplaceAll(text, ": still waiting for an answer\n\n", ""); response.StatusCode != 200 || text != test.want {
				t.Errorf("%d\n%s\nwant\n%s", response.StatusCode, text, test.want)
			}
			if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
				t.Error(kind)
			}
		})
	}
}

// messageAs sends a message's request with an id.
func messageAs(t *testing.T, g *gatewaytest.Gateway, id, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v1/messages", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", gatewaytest.Token)
	r.Header.Set("X-Request-Id", id)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytest.Read(t, response)
}

// A model that nobody can count for says so.
func TestCountTokensIsNotTranslated(t *testing.T) {
	g := one(t, "openai", "", say(200, answer))
	response, text := message(t, g, "/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"Hi!"}]}`)
	if response.StatusCode != 400 || anthropicError(t, text) != "invalid_request_error" || !strings.Contains(text, "/messages/count_tokens") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// What one backend cannot be asked is named as Anthropic's clients know it; another may be asked.
func TestUnfitMessages(t *testing.T) {
	const body = `{"model":"m","max_tokens":9,"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"messages":[{"role":"user","content":"Hi!"}]}`
	g := one(t, "gemini", "", say(200, answer))
	response, text := message(t, g, "/v1/messages", body)
	if response.StatusCode != 400 || anthropicError(t, text) != "invalid_request_error" || !strings.Contains(text, "tool_choice.disable_parallel_tool_use cannot be expressed") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	g = gatewaytest.Start(t, gatewaytest.Config(typed("gemini", "first", gatewaytest.Serve(t, say(200, answer))), typed("openai", "second", gatewaytest.Serve(t, say(200, answer))),
		gatewaytest.Model("m", "failover", "first")+"[[models.m.backends]]\nprovider = \"second\"\nmodel = \"two\"\npriority = 1\n"))
	if response, text = message(t, g, "/v1/messages", body); response.StatusCode != 200 || response.Header.Get("X-Berry-Provider") != "second" || !strings.Contains(text, `"text":"hello"`) {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// A refusal of Anthropic's passes as it is, with its status, unless it is about the operator's account.
func TestMessageRefusals(t *testing.T) {
	refusal := func(typ, message string) string {
		return `{"type":"error","error":{"type":"` + typ + `","message":"` + message + `"},"request_id":"req_1"}`
	}
	for name, test := range map[string]struct {
		status    int
		body      string
		want      int
		wantError string // "" is the body
	}{
		"a parameter":         {400, refusal("invalid_request_error", "top_p: too much"), 400, ""},
		"a status of its own": {422, refusal("invalid_request_error", "top_p: too much"), 422, ""},
		"too large":           {413, refusal("request_too_large", "Request exceeds the maximum size"), 413, ""},
		"overloaded":          {529, refusal("overloaded_error", "Overloaded"), 529, ""},
		"no credit":           {400, refusal("invalid_request_error", "Your credit balance is too low"), 502, "api_error"},
		"no bill":             {402, refusal("billing_error", "Pay first"), 502, "api_error"},
		"no such model":       {404, refusal("not_found_error", "model: one"), 404, "not_found_error"},
		"a refused key":       {401, refusal("authentication_error", "invalid x-api-key sk-p"), 502, "api_error"},
		"HTML":                {413, "<html>", 413, "request_too_large"},
		"nothing":             {529, "", 502, "api_error"},
		"OpenAI's":            {400, `{"error":{"message":"x","type":"invalid_request_error","code":"c"}}`, 400, "invalid_request_error"},
		"an error in a 200":   {200, refusal("overloaded_error", "Overloaded"), 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := one(t, "anthropic", "", answering(test.status, "application/json", test.body))
			response, text := message(t, g, "/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]}`)
			switch {
			case response.StatusCode != test.want:
				t.Errorf("%d %s", response.StatusCode, text)
			case test.wantError == "" && text != test.body:
				t.Errorf("%s", text)
			case test.wantError != "" && anthropicError(t, text) != test.wantError:
				t.Errorf("%s", text)
			}
			if strings.Contains(text, "sk-p") {
				t.Error("the key is told")
			}
		})
	}
}
