package relay_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// Traces contain prompts and responses only if capture is enabled, in the format of the conventions and up to the limit.
func TestCapturedContent(t *testing.T) {
	const in, out = "gen_ai.input.messages", "gen_ai.output.messages"
	for name, test := range map[string]struct {
		telemetry, body string
		want            map[string]string // of the attempt's attributes
	}{
		"off": {"", `{"model":"m","messages":[{"role":"user","content":"Grüße!"}]}`, map[string]string{in: "", out: ""}},
		"plain": {"capture_content = true", `{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Grüße!"}]}]}`, map[string]string{
			in:  `[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"Grüße!"}]}]`,
			out: `[{"role":"assistant","parts":[{"type":"text","content":"Hello from p, model one. You said: [map[text:Grüße! type:text]]"}],"finish_reason":"stop"}]`,
		}},
		"streamed": {"capture_content = true", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Grüße!"}]}`, map[string]string{
			out: `[{"role":"assistant","parts":[{"type":"text","content":"Hello from p, model one. You said: Grüße!"}],"finish_reason":"stop"}]`,
		}},
		"a message": {"capture_content = true", `{"model":"m","max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"Grüße!"}]}]}`, map[string]string{
			in:  `[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"Grüße!"}]}]`,
			out: `[{"role":"assistant","parts":[{"type":"text","content":"Hello from p, model one. You said: Grüße!"}],"finish_reason":"end_turn"}]`,
		}},
		"a streamed message": {"capture_content = true", `{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Grüße!"}]}`, map[string]string{
			out:                              `[{"role":"assistant","parts":[{"type":"text","content":"Hello from p, model one. You said: Grüße!"}],"finish_reason":"end_turn"}]`,
			"gen_ai.response.id":             "fake-1",
			"gen_ai.response.model":          "one",
			"gen_ai.response.finish_reasons": "end_turn",
		}},
		"limited": {"capture_content = true\ncapture_content_bytes = 3", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Grüße!"},{"role":"user","content":"x"}]}`, map[string]string{
			in:  `[{"role":"user","parts":[{"type":"text","content":"Gr"}]},{"role":"user","parts":[{"type":"text","content":"x"}]}]`, // a half of ü is none
			out: `[{"role":"assistant","parts":[{"type":"text","content":"Hel"}],"finish_reason":"stop"}]`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/v1/chat/completions"
			if strings.Contains(test.body, "max_tokens") {
				path = "/v1/messages"
			}
			r := otlptest.New(t)
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
			p := &fakeprovider.Provider{Name: "p"}
			g := gatewaytest.Start(t, gatewaytest.Config("[telemetry]\n"+test.telemetry, gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
			if response, text := gatewaytest.Read(t, g.Post(t, path, test.body)); response.StatusCode != http.StatusOK {
				t.Fatal(text)
			}
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			got := attributes(r, "chat one")
			for key, want := range test.want {
				if got[key] != want || !utf8.ValidString(got[key]) {
					t.Errorf("%s is\n%s, want\n%s", key, got[key], want)
				}
			}
			if test.telemetry == "" && strings.Contains(string(r.Raw()), "Grüße") {
				t.Error("content is exported")
			}
		})
	}
}

// attributes returns those of the exported spans with the name.
func attributes(r *otlptest.Receiver, name string) map[string]string {
	all := map[string]string{}
	for _, s := range r.Spans() {
		for _, a := range s.Attributes {
			if s.Name == name {
				all[a.Key] = otlptest.Text(a.Value)
			}
		}
	}
	return all
}

// What is asked of the Responses API and answered there is in traces as that of chats is, and what is read again later is not.
func TestCapturedResponses(t *testing.T) {
	const (
		model = `"model":"m"`
		items = `"instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text","text":"Grü"},{"type":"input_image"}]},{"type":"function_call","name":"f"},{"type":"function_call_output","output":"7"}]`
		said  = `"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hel"},{"type":"refusal","refusal":"no"}]}]`
		calls = `"status":"completed","output":[{"type":"function_call","name":"f"}]`
		short = `"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`
	)
	answer := func(rest string) string { return `{"id":"resp_1","object":"response","model":"one-1",` + rest + `}` }
	event := func(kind, rest string) string { return `data: {"type":"` + kind + `",` + rest + "}\n\n" }
	events := func(last string) http.HandlerFunc {
		return stream(nil, event("response.created", `"response":`+answer(`"status":"in_progress"`)), event("response.output_text.delta", `"delta":"Hel"`),
			event("response.output_text.delta", `"delta":"lo"`), event("response.completed", `"response":`+answer(last)))
	}
	const on = "capture_content = true\n"
	for name, test := range map[string]struct {
		telemetry, body                   string
		says                              http.HandlerFunc
		instructions, in, out, ends, conv string
	}{
		"off": {"", model + `,"input":"Grü","conversation":"conv_1"`, say(200, answer(said)), "", "", "", "stop", "conv_1"},
		"plain": {on, model + `,` + items + `,"conversation":{"id":"conv_2"}`, say(200, answer(said)), `[{"type":"text","content":"Be brief."}]`,
			`[{"role":"user","parts":[{"type":"text","content":"Grü"}]},{"role":"tool","parts":[{"type":"text","content":"7"}]}]`,
			`[{"role":"assistant","parts":[{"type":"text","content":"Helno"}],"finish_reason":"stop"}]`, "stop", "conv_2"},
		"streamed": {on, model + `,"stream":true,"input":"Grü"`, events(said), "", `[{"role":"user","parts":[{"type":"text","content":"Grü"}]}]`,
			`[{"role":"assistant","parts":[{"type":"text","content":"Hello"}],"finish_reason":"stop"}]`, "stop", ""},
		"limited": {on + "capture_content_bytes = 11\n", model + `,"stream":true,` + items, events(short), `[{"type":"text","content":"Be brief."}]`,
			`[{"role":"user","parts":[{"type":"text","content":"Gr"}]}]`,
			`[{"role":"assistant","parts":[{"type":"text","content":"Hello"}],"finish_reason":"length"}]`, "length", ""},
		"a call": {on, model, say(200, answer(calls)), "", "", "", "tool_calls", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.URL+"/v1/traces")
			p := &script{steps: []http.HandlerFunc{test.says, say(200, answer(said))}}
			g := gatewaytest.Start(t, gatewaytest.Config("[telemetry]\n"+test.telemetry, gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
			_, text := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", "{"+test.body+"}")
			id := regexp.MustCompile(`resp_[\w-]+`).FindString(text)
			if status, text := ask(t, g, gatewaytest.Token, "GET", "/v1/responses/"+id, ""); status != 200 {
				t.Error(text)
			}
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			got := attributes(r, "chat one")
			for key, want := range map[string]string{
				"gen_ai.system_instructions": test.instructions, "gen_ai.input.messages": test.in, "gen_ai.output.messages": test.out,
				"gen_ai.response.finish_reasons": test.ends, "gen_ai.conversation.id": test.conv,
				"gen_ai.operation.name": "chat", "openai.api.type": "responses", "gen_ai.response.id": "resp_1", "gen_ai.response.model": "one-1",
			} {
				if got[key] != want {
					t.Errorf("%s is\n%s, want\n%s", key, got[key], want)
				}
			}
			later := attributes(r, "response_retrieve one")
			if later["openai.api.type"] != "responses" || later["gen_ai.input.messages"] != "" || later["gen_ai.output.messages"] != "" {
				t.Errorf("%v", later)
			}
		})
	}
}

// Without tracing, the client's trace context passes unchanged.
func TestTraceContextPassesWithoutTraces(t *testing.T) {
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"
	got := make(chan http.Header, 1)
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		(&fakeprovider.Provider{}).ServeHTTP(w, r)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	r.Header.Set("Traceparent", parent)
	r.Header.Set("Tracestate", state)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	gatewaytest.Read(t, response)
	if h := <-got; h.Get("Traceparent") != parent || h.Get("Tracestate") != state {
		t.Errorf("%v", h)
	}
}
