package relay_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// recovering is a gateway whose model "m" fails over from the provider "first" to "second" and restarts broken streams.
func recovering(t *testing.T, settings string, first, second http.Handler) *gatewaytest.Gateway {
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\nkeep_alive_seconds = 1\n"+settings,
		gatewaytest.Provider("first", gatewaytest.Serve(t, first)), gatewaytest.Provider("second", gatewaytest.Serve(t, second)), `
[models.m]
strategy = "failover"
stream_recovery = "restart"
[[models.m.backends]]
provider = "first"
model = "one"
priority = 1
[[models.m.backends]]
provider = "second"
model = "two"
priority = 2
`))
}

// With stream_recovery a client receives a complete stream or an error, never a truncated stream.
func TestRecovery(t *testing.T) {
	const boom = `{"error":{"message":"boom","type":"server_error","code":null}}`
	whole := chunk("hel", "null") + chunk("lo", `"stop"`) + "data: [DONE]\n\n"
	half := chunk("from the first", "null")
	late := func(h http.HandlerFunc) http.HandlerFunc { // long enough for a comment to be sent
		return func(w http.ResponseWriter, r *http.Request) { time.Sleep(1500 * time.Millisecond); h(w, r) }
	}
	large := strings.Repeat(chunk(strings.Repeat("x", 1<<20), "null"), 9)
	for name, test := range map[string]struct {
		settings      string
		first, second http.HandlerFunc
		status        int
		body          string // without comments
	}{
		"whole":                        {"", stream(nil, whole), reset, 200, whole},
		"without its [DONE]":           {"", stream(nil, chunk("a", `"stop"`)), reset, 200, chunk("a", `"stop"`) + "data: [DONE]\n\n"},
		"cut, then whole":              {"", stream(reset, half, half), stream(nil, whole), 200, whole},
		"stalled, then whole":          {"stream_idle_timeout_seconds = 1", stream(silence, half), stream(nil, whole), 200, whole},
		"error inside, then whole":     {"", stream(nil, half, "data: "+boom+"\n\n"), stream(nil, whole), 200, whole},
		"refused inside":               {"", stream(nil, half, "data: {\"error\":{\"code\":\"content_filter\"}}\n\n"), reset, 400, `{"error":{"code":"content_filter"}}`},
		"cut, then an error":           {"max_retries = 1", stream(reset, half), say(503, boom), 503, boom},
		"cut late, then whole":         {"", late(stream(reset, half)), stream(nil, whole), 200, whole},
		"cut late, then an error":      {"max_retries = 1", late(stream(reset, half)), say(503, "{\n"+boom[1:]), 200, "data: " + boom + "\n\n"},
		"cut late, then cut again":     {"max_retries = 1", late(stream(reset, half)), stream(reset, half), 200, "data: {\"error\":{\"message\":\"No provider could answer; try again later.\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"},
		"an error instead":             {"", say(200, `{"error":{"code":"content_filter"}}`), stream(nil, whole), 400, `{"error":{"code":"content_filter"}}`},
		"cut late, then words":         {"max_retries = 1", late(stream(reset, half)), say(422, `{"detail":"n must be 1"}`), 200, "data: {\"error\":{\"message\":\"No provider could answer; try again later.\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"},
		"comments without an end":      {"", stream(reset, strings.Repeat(": "+strings.Repeat("x", 1<<20)+"\n\n", 9)), stream(nil, whole), 200, whole},
		"plain though a stream":        {"", say(200, answer), stream(nil, whole), 200, whole},
		"too large to be held":         {"", stream(nil, large, whole), reset, 200, large + whole},
		"too large to be held and cut": {"", stream(reset, large), stream(nil, whole), 200, large + "data: {\"error\":{\"message\":\"The provider's answer broke off; what came before this is incomplete.\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := &script{steps: []http.HandlerFunc{test.first}}, &script{steps: []http.HandlerFunc{test.second}}
			g := recovering(t, test.settings, first, second)
			response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`))
			const comment = ": still waiting for an answer\n\n"
			body := strings.ReplaceAll(text, comment, "")
			if response.StatusCode != test.status || body != test.body {
				t.Errorf("%d %.500q\nwant %d %.500q", response.StatusCode, body, test.status, test.body)
			}
			if strings.Contains(name, "late") && !strings.Contains(text, comment) {
				t.Errorf("comments: %q", text)
			}
			if kind := response.Header.Get("Content-Type"); (kind == "text/event-stream") != (test.status == 200) {
				t.Errorf("content type %q", kind)
			}
		})
	}
}

// stream_recovery does not affect plain responses.
func TestRecoveryLeavesPlainAlone(t *testing.T) {
	g := recovering(t, "", say(200, answer), http.HandlerFunc(reset))
	if response, text := g.Chat(t, "m"); response.StatusCode != 200 || text != answer {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// The client receives no part of a buffered stream before it is complete.
func TestHeldBack(t *testing.T) {
	release := make(chan struct{})
	first := stream(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, chunk("b", `"stop"`)+"data: [DONE]\n\n")
	}, chunk("a", "null"))
	g := recovering(t, "", first, http.HandlerFunc(reset))
	response := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	defer response.Body.Close()
	got := make([]byte, 10)
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != ": still wa" {
		t.Fatalf("%q, %v", got, err)
	}
	close(release)
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(rest), chunk("a", "null")+chunk("b", `"stop"`)+"data: [DONE]\n\n") {
		t.Errorf("%q, %v", rest, err)
	}
}

// The client's own deadline ends the exchange, waits included, and counts against nobody; the operator's counts.
func TestDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		settings, header string
		steps            []http.HandlerFunc
		status           int
		text             string
		blamed           bool
	}{
		"of the client, in silence":       {"", "0.3", []http.HandlerFunc{silence}, 504, "X-Request-Timeout", false},
		"of the operator, in silence":     {"total_timeout_seconds = 1", "", []http.HandlerFunc{silence}, 504, "upstream_timeout", true},
		"the shorter one counts":          {"total_timeout_seconds = 1", "60", []http.HandlerFunc{silence}, 504, "upstream_timeout", true},
		"no time to wait for Retry-After": {"retry_after_wait_seconds = 9", "1", []http.HandlerFunc{say(429, `{"error":{"message":"slow"}}`, "Retry-After", "2"), say(200, answer)}, 429, "slow", true},
		"time enough":                     {"", "60", []http.HandlerFunc{say(200, answer)}, 200, "hello", false},
		"no number":                       {"", "soon", []http.HandlerFunc{say(200, answer)}, 400, "invalid_timeout", false},
		"not above 0":                     {"", "0", []http.HandlerFunc{say(200, answer)}, 400, "invalid_timeout", false},
		"no number either":                {"", "NaN", []http.HandlerFunc{say(200, answer)}, 400, "invalid_timeout", false},
		"next to nothing":                 {"total_timeout_seconds = 60", "1e-10", []http.HandlerFunc{silence}, 504, "X-Request-Timeout", false},
		"centuries":                       {"", "1e300", []http.HandlerFunc{say(200, answer)}, 200, "hello", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := &script{steps: test.steps}
			g := pair(t, "failure_threshold = 1\n"+test.settings, first, first)
			r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"alone"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
			if test.header != "" {
				r.Header.Set("X-Request-Timeout", test.header)
			}
			response, err := g.Client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, text := gatewaytest.Read(t, response); response.StatusCode != test.status || !strings.Contains(text, test.text) {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			for _, m := range g.Status(t).Models {
				if b := m.Backends[0]; m.Name == "alone" && (b.State != "healthy") != test.blamed {
					t.Errorf("the backend is %s", b.State)
				}
			}
		})
	}
}

// What was held back counts once, for the backend that gave the whole answer; the other's attempt counts as failed.
func TestAccounting(t *testing.T) {
	usage := "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}}\n\n"
	first := stream(reset, chunk("a", "null"), usage)
	second := stream(nil, chunk("a", `"stop"`), usage, "data: [DONE]\n\n")
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("first", gatewaytest.Serve(t, first)), gatewaytest.Provider("second", gatewaytest.Serve(t, second)), `
[models.m]
strategy = "failover"
stream_recovery = "restart"
[[models.m.backends]]
provider = "first"
model = "one"
cost_input = 2.0
[[models.m.backends]]
provider = "second"
model = "two"
priority = 1
cost_input = 2.0
cost_output = 4.0
`))
	gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`))
	var got []string
	for _, b := range g.Status(t).Models[0].Backends {
		got = append(got, fmt.Sprintf("%+v", b.Attempts))
	}
	want := "{Answered:0 Refused:0 Failed:1 Cancelled:0 InputTokens:1000 OutputTokens:500 Cost:0.002} " + // it is billed
		"{Answered:1 Refused:0 Failed:0 Cancelled:0 InputTokens:1000 OutputTokens:500 Cost:0.004}"
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
	page := g.Page(t, "/metrics")
	for _, line := range []string{
		`gen_ai_client_token_usage_sum{berry_provider="second",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="two",gen_ai_token_type="output"} 500`,
		`gen_ai_client_token_usage_sum{berry_provider="first",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="one",gen_ai_token_type="output"} 500`,
		`berry_backend_cost_total{berry_provider="first",berry_provider_model="one"} 0.002`,
		`berry_backend_cost_total{berry_provider="second",berry_provider_model="two"} 0.004`,
		`berry_backend_attempts_total{berry_provider="first",berry_provider_model="one",result="stream_broken"} 1`,
	} {
		if !strings.Contains(page, line) {
			t.Errorf("no %s", line)
		}
	}
}

// Only a backend that had all of the operator's time is blamed for its lack: not one that was asked when most of it was over, and
// nobody for a slow upload.
func TestDeadlineBlamesNobodyElse(t *testing.T) {
	first, second := &script{steps: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(700 * time.Millisecond)
		say(400+3, "{}")(w, r)
	}}}, &script{steps: []http.HandlerFunc{silence}}
	g := pair(t, "failure_threshold = 1\ntotal_timeout_seconds = 1", first, second)
	slow := io.MultiReader(strings.NewReader(`{"model":"m"`), readerFunc(func() { time.Sleep(1200 * time.Millisecond) }), strings.NewReader("}"))
	r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", slow)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 504 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if n := first.attempts.Load() + second.attempts.Load(); n != 2 {
		t.Errorf("%d attempts", n)
	}
	for _, m := range g.Status(t).Models {
		if m.Name == "m" && m.Backends[1].State != "healthy" {
			t.Errorf("the second is %s", m.Backends[1].State)
		}
	}
}

// A readerFunc reads nothing, and is called once.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }
