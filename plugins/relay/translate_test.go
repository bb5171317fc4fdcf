package relay_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

const chat = `{"model":"m","messages":[{"role":"user","content":"Hi!"}]}`

// answering is a provider that answers with a status, a type and a body, whatever it is asked.
func answering(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Anthropic-Ratelimit-Requests-Remaining", "7")
		w.Header().Set("Anthropic-Organization-Id", "org-secret")
		w.Header().Set("Request-Id", "req_1")
		w.Header().Set("X-Request-Id", "theirs")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "9")
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// one is a gateway with a model "m" at one provider of the type.
func one(t *testing.T, typ, settings string, h http.Handler) *gatewaytest.Gateway {
	return gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n"+settings, typed(typ, "p", gatewaytest.Serve(t, h)), gatewaytest.Model("m", "failover", "p")))
}

// What is none of the API's answers is told truthfully.
func TestAnswersThatAreNone(t *testing.T) {
	const message = `{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}`
	const events = "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
	for name, test := range map[string]struct {
		status            int
		contentType, body string
		stream            bool
		want              int
		says              string
	}{
		"JSON that says it is text":      {200, "text/plain", message, false, 200, `"content":"Hello"`},
		"a stream without its terminal":  {200, "text/event-stream; charset=utf-8", events, true, 200, "data: [DONE]"},
		"a page of HTML":                 {200, "text/html", "<html>", false, 502, `"upstream_error"`},
		"nothing":                        {200, "application/json", "", false, 502, `"upstream_error"`},
		"half of it":                     {200, "application/json", message[:30], false, 502, `"upstream_error"`},
		"another object":                 {200, "application/json", `{"status":"ok"}`, false, 502, `"upstream_error"`},
		"a stream that was not wanted":   {200, "text/event-stream", events, false, 502, `"upstream_error"`},
		"no stream":                      {200, "application/json", message, true, 502, `"upstream_error"`},
		"an error instead of a stream":   {200, "application/json", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, true, 503, `"overloaded_error"`},
		"a stream of what nobody knows":  {200, "text/event-stream", "data: {\"type\":\"news\"}\n\n", true, 502, `"upstream_error"`},
		"an empty stream":                {200, "text/event-stream", "", true, 502, `"upstream_error"`},
		"an error after a head":          {200, "text/event-stream", "data: {\"type\":\"message_start\",\"message\":{\"id\":\"1\"}}\n\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", true, 503, `"overloaded_error"`},
		"a refusal in HTML":              {413, "text/html", "<html>", false, 413, `"request_too_large"`},
		"a failure in HTML":              {529, "text/html", "<html>", false, 502, `"upstream_error"`},
		"a refusal":                      {400, "application/json", `{"type":"error","error":{"type":"invalid_request_error","message":"top_p: too much"}}`, false, 400, `{"error":{"message":"top_p: too much","type":"invalid_request_error","param":null,"code":null}}`},
		"a refused key":                  {403, "application/json", `{"type":"error","error":{"type":"permission_error","message":"sk-p may not"}}`, false, 502, `"upstream_error"`},
		"a refused key within a stream":  {200, "text/event-stream", events[:strings.Index(events, "\n\n")+2] + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"sk-p is gone\"}}\n\n", true, 200, `"upstream_error"`},
		"an answer that is far too long": {200, "application/json", `{"type":"message","content":[{"type":"text","text":"` + strings.Repeat("x", 9<<20) + `"}]}`, false, 502, `"upstream_error"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := one(t, "anthropic", "", answering(test.status, test.contentType, test.body))
			response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", strings.Replace(chat, "{", fmt.Sprintf(`{"stream":%v,`, test.stream), 1)))
			if response.StatusCode != test.want || !strings.Contains(text, test.says) {
				t.Errorf("%d %.500s", response.StatusCode, text)
			}
			if strings.Contains(text, "sk-p") || strings.Contains(g.Log.String(), "sk-p") {
				t.Error("the provider's words about the key are told")
			}
		})
	}
}

// Azure's refusals by its content filter, and what it says of prompts in streams, come as they are; a deployment that is not
// there is a model that is not.
func TestAzure(t *testing.T) {
	const filtered = `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}`
	g := one(t, "azure", "", answering(400, "application/json", filtered))
	if response, text := g.Chat(t, "m"); response.StatusCode != 400 || text != filtered {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	const events = "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"content_filter_results\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	g = one(t, "azure", "", answering(200, "text/event-stream", events))
	if _, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)); text != events {
		t.Errorf("%s", text)
	}
	missing := answering(404, "application/json", `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`)
	brain := &fakeprovider.ToolCaller{Key: "sk-second"}
	g = gatewaytest.Start(t, gatewaytest.Config(typed("azure", "first", gatewaytest.Serve(t, missing)), gatewaytest.Provider("second", gatewaytest.Serve(t, brain)),
		gatewaytest.Model("m", "failover", "first"), "[[models.m.backends]]\nprovider = \"second\"\nmodel = \"two\"\npriority = 1\n"))
	if response, text := g.Chat(t, "m"); response.StatusCode != 200 || response.Header.Get("X-Berry-Provider") != "second" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// Of a provider's headers the client gets those about limits and the request's name, and none about the operator.
func TestHeadersOfProviders(t *testing.T) {
	g := one(t, "anthropic", "", answering(200, "application/json", `{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}`))
	response, _ := g.Chat(t, "m")
	h := response.Header
	if h.Get("Anthropic-Ratelimit-Requests-Remaining") != "7" || h.Get("X-Ratelimit-Remaining-Tokens") != "9" || h.Get("Request-Id") != "req_1" || h.Get("X-Upstream-Request-Id") != "theirs" {
		t.Errorf("missing: %v", h)
	}
	if h["Set-Cookie"] != nil || h["Anthropic-Organization-Id"] != nil || h.Get("X-Request-Id") == "theirs" || h.Get("Content-Type") != "application/json" {
		t.Errorf("too much: %v", h)
	}
}

// A request that one backend has no words for goes to the next; if that cannot be asked, the refusal stands only if nobody was.
func TestUnfitRequests(t *testing.T) {
	brains := map[string]*fakeprovider.ToolCaller{}
	toml := gatewaytest.Config("[settings]\nmax_retries = 2\n")
	model := "[models.m]\nstrategy = \"failover\"\n"
	for i, typ := range []string{"anthropic", "gemini", "openai"} {
		brains[typ] = &fakeprovider.ToolCaller{Key: "sk-" + typ}
		toml += typed(typ, typ, gatewaytest.Serve(t, fakeprovider.Translate(typ, brains[typ])))
		model += fmt.Sprintf("[[models.m.backends]]\nprovider = %q\nmodel = \"x\"\npriority = %d\n", typ, i)
	}
	g := gatewaytest.Start(t, toml+model+strings.ReplaceAll(model[:strings.LastIndex(model, "[[")], "models.m", "models.few"))
	biased := func(model string) string {
		return `{"model":"` + model + `","logit_bias":{"1":1},"messages":[{"role":"user","content":"Hi!"}]}`
	}
	response, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", biased("m")))
	if response.StatusCode != 200 || response.Header.Get("X-Berry-Provider") != "openai" || brains["anthropic"].Served.Load()+brains["gemini"].Served.Load() != 0 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	response, text = gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", biased("few")))
	if response.StatusCode != 400 || !strings.Contains(text, `"param":"logit_bias","code":"unsupported_parameter"`) {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	brains["openai"].Down.Store(true)
	if response, text = gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", biased("m"))); response.StatusCode != 502 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	for _, m := range g.Status(t).Models {
		for _, b := range m.Backends {
			if b.Provider != "openai" && (b.Samples != 0 || b.State != "healthy") {
				t.Errorf("%+v", b)
			}
		}
	}
}

// Answers carry the name that the client asked for, if the operator wants that.
func TestResponseModel(t *testing.T) {
	for _, typ := range types() {
		brain := &fakeprovider.ToolCaller{Key: "sk-p"}
		g := gatewaytest.Start(t, gatewaytest.Config(typed(typ, "p", gatewaytest.Serve(t, fakeprovider.Translate(typ, brain))),
			gatewaytest.Model("theirs", "failover", "p"), gatewaytest.Model("ours", "failover", "p")+"",
			strings.Replace(gatewaytest.Model("own-name", "failover", "p"), "strategy", "response_model = \"client\"\nstrategy", 1)))
		for model, want := range map[string]string{"theirs": `"model":"one"`, "own-name": `"model":"own-name"`} {
			for _, stream := range []string{"true", "false"} {
				_, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"`+model+`","stream":`+stream+`,"messages":[{"role":"user","content":"say \"model\":\"one\""}]}`))
				if n := strings.Count(text, `"model":"`); n == 0 || strings.Count(text, want) != n {
					t.Errorf("%s %s, stream %s: %s", typ, model, stream, text)
				}
			}
		}
	}
}

// Events whose data stands in several lines are named, too.
func TestResponseModelInLines(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, answering(200, "text/event-stream",
		"data: {\"model\":\"one\",\ndata: \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))),
		strings.Replace(gatewaytest.Model("m", "failover", "p"), "strategy", "response_model = \"client\"\nstrategy", 1)))
	_, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`))
	if want := "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"; text != want {
		t.Errorf("%q", text)
	}
}

// A user may be allowed models by the beginnings of their names.
func TestAllowedPatterns(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.ToolCaller{Key: "sk-p"})),
		gatewaytest.Model("gpt-a", "failover", "p"), gatewaytest.Model("other", "failover", "p"),
		"[users.bob]\ntoken = \"berry-bob-0123456789abc\"\nallowed_models = [\"gpt-*\"]\n[users.eve]\ntoken = \"berry-eve-0123456789abc\"\nallowed_models = [\"none-*\"]\n"))
	for token, want := range map[string]map[string]int{"berry-bob-0123456789abc": {"gpt-a": 200, "other": 403}, "berry-eve-0123456789abc": {"gpt-a": 403, "other": 403}} {
		for model, status := range want {
			response := g.Send(t, token, http.MethodPost, "/v1/chat/completions", strings.Replace(chat, `"m"`, `"`+model+`"`, 1))
			if _, text := gatewaytest.Read(t, response); response.StatusCode != status {
				t.Errorf("%s %s: %d %s", token, model, response.StatusCode, text)
			}
		}
	}
}
