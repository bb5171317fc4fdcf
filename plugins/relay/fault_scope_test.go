package relay_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A faultRow is a failed answer in the words of each type of provider, and what is to come of it.
type faultRow struct {
	name      string
	status    int
	openAI    string // body; "<" begins a page of HTML
	anthropic string // the same in other words; "" is a page, or the same page
	gemini    string
	alone     string // what a client gets who has no other backend: status, and OpenAI's code
	cools     bool   // the account, at once
}

func faultRows() []faultRow {
	openAI := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"","param":null,"code":%q}}`, message, code)
	}
	anthropic := func(kind, message string) string {
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, kind, message)
	}
	gemini := func(status, message string) string {
		return fmt.Sprintf(`{"error":{"code":0,"message":%q,"status":%q}}`, message, status)
	}
	const page = "<html>Blocked</html>"
	return []faultRow{
		{"402", 402, openAI("", "Insufficient Balance"), anthropic("billing_error", "Pay"), gemini("", "Pay"), "502 upstream_error", true},
		{"over its limit", 400, openAI("billing_hard_limit_reached", "x"), anthropic("invalid_request_error", "You have reached your specified API usage limits."), gemini("FAILED_PRECONDITION", "Enable billing."), "502 upstream_error", true},
		{"a disabled organization", 400, openAI("", "This organization has been disabled."), anthropic("invalid_request_error", "This organization has been disabled."), gemini("INVALID_ARGUMENT", "This organization has been disabled."), "502 upstream_error", true},
		{"a bad key in a 400", 400, openAI("", "API key not valid. Please pass a valid API key."), anthropic("authentication_error", "invalid x-api-key"), gemini("INVALID_ARGUMENT", "API key not valid."), "502 upstream_error", false},
		{"401", 401, openAI("invalid_api_key", "Incorrect API key provided"), anthropic("authentication_error", "invalid x-api-key"), gemini("UNAUTHENTICATED", "No key"), "502 upstream_error", false},
		{"a model unknown", 404, openAI("model_not_found", "The model one does not exist"), anthropic("not_found_error", "model: one"), gemini("NOT_FOUND", "models/one is not found"), "404 model_not_found", false},
		{"a model forbidden", 403, openAI("model_not_found", "Project does not have access to model one"), anthropic("permission_error", "You do not have access to model one"), gemini("PERMISSION_DENIED", "You do not have access to the model one"), "404 model_not_found", false},
		{"a flagged prompt", 403, openAI("", "one requires moderation; your input was flagged"), anthropic("permission_error", "The prompt was flagged"), gemini("PERMISSION_DENIED", "The prompt was flagged"), "400 content_filter", false},
		{"a firewall's 403", 403, page, page, page, "502 upstream_error", false},
		{"a proxy's 404", 404, page, page, page, "502 upstream_error", false},
		{"FastAPI's 404", 404, `{"detail":"Not Found"}`, `{"detail":"Not Found"}`, `{"detail":"Not Found"}`, "502 upstream_error", false},
		{"Go's 404", 404, "404 page not found\n", "404 page not found\n", "404 page not found\n", "502 upstream_error", false},
		{"405", 405, openAI("", "x"), page, page, "502 upstream_error", false}, {"410", 410, "", "", "", "502 upstream_error", false},
		{"421", 421, page, page, page, "502 upstream_error", false}, {"424", 424, page, page, page, "502 upstream_error", false},
		{"451", 451, openAI("", "x"), page, page, "502 upstream_error", false}, {"498", 498, page, page, page, "502 upstream_error", false},
		{"a proxy's 413", 413, page, page, page, "413 request_too_large", false},
		{"409", 409, openAI("", "x"), page, page, "502 upstream_error", false},
		{"a request larger than the limit", 429, openAI("rate_limit_exceeded", "Request too large for one; it must be reduced."), anthropic("rate_limit_error", "Request too large; it must be reduced."), gemini("RESOURCE_EXHAUSTED", "Request too large; it must be reduced."), "429 rate_limit_exceeded", false},
		{"500", 500, openAI("server_error", "x"), anthropic("api_error", "x"), gemini("INTERNAL", "x"), "500 server_error", false},
	}
}

// body returns the row's body in the type's words.
func (r *faultRow) body(typ string) string {
	switch typ {
	case "anthropic":
		return r.anthropic
	case "gemini":
		return r.gemini
	default:
		return r.openAI
	}
}

// serve answers every request with the row.
func (r *faultRow) serve(typ string) http.Handler {
	kind := "text/html"
	if strings.HasPrefix(r.body(typ), "{") {
		kind = "application/json"
	}
	return answering(r.status, kind, r.body(typ))
}

// A faultCall is a call of one of the APIs, with MODEL in the model's place and STREAM in that of what stream says.
type faultCall struct{ path, body string }

func faultCalls(typ string) []faultCall {
	calls := []faultCall{
		{"/v1/chat/completions", `{"model":"MODEL","stream":STREAM,"messages":[{"role":"user","content":"Hi!"}]}`},
		{"/v1/messages", `{"model":"MODEL","stream":STREAM,"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]}`},
	}
	if typ != "anthropic" {
		calls = append(calls, faultCall{"/v1/embeddings", `{"model":"MODEL","input":"Hi!"}`})
	}
	if typ == "openai" || typ == "azure" {
		calls = append(calls, faultCall{"/v1/responses", `{"model":"MODEL","stream":STREAM,"input":"Hi!"}`})
	}
	return calls
}

// check asks for the model that has a fallback and for the one that has none.
func (r *faultRow) check(t *testing.T, g *gatewaytest.Gateway, id, typ string) {
	for _, call := range faultCalls(typ) {
		for _, stream := range []string{"false", "true"} {
			ask := func(model string) (*http.Response, string) {
				return gatewaytest.Read(t, g.Post(t, call.path, strings.NewReplacer("MODEL", model+id, "STREAM", stream).Replace(call.body)))
			}
			response, text := ask("m")
			if by := response.Header.Get("X-Berry-Provider"); by != "fallback" || response.StatusCode != 200 && call.path != "/v1/responses" { // which the fallback does not speak
				t.Errorf("%s, %s, stream %s: %d %.200s by %q, want the fallback's answer", r.name, call.path, stream, response.StatusCode, text, by)
			}
			response, text = ask("alone")
			want, code, _ := strings.Cut(r.alone, " ")
			if call.path == "/v1/messages" {
				code = `"type":"error"`
			}
			if found := response.StatusCode == 503 && r.alone == "502 upstream_error"; found && r.cools {
				continue // the account is out of rotation by now
			}
			if strconv.Itoa(response.StatusCode) != want || !strings.Contains(text, code) {
				t.Errorf("%s, %s, stream %s, alone: %d %.200s, want %s", r.name, call.path, stream, response.StatusCode, text, r.alone)
			}
		}
	}
}

// Every failed answer of every type of provider, to clients of each API, plain and streamed, moves on to the next backend; alone, the client
// gets what the table in README.md says. The log names who failed, and why.
func TestWhoseFault(t *testing.T) {
	for _, typ := range types() {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			well := gatewaytest.Serve(t, fakeprovider.Translate(typ, &fakeprovider.ToolCaller{Key: "sk-fallback"}))
			toml := []string{"[settings]\nmax_retries = 1\nfailure_threshold = 1000\n", typed(typ, "fallback", well)}
			rows := faultRows()
			for i := range rows {
				id := fmt.Sprintf("p%d", i)
				toml = append(toml, typed(typ, id, gatewaytest.Serve(t, rows[i].serve(typ))), gatewaytest.Model("alone"+id, "failover", id),
					gatewaytest.Model("m"+id, "failover", id)+fmt.Sprintf("[[models.m%s.backends]]\nprovider = \"fallback\"\nmodel = \"one\"\npriority = 1\n", id))
			}
			g := gatewaytest.Start(t, gatewaytest.Config(toml...))
			for i := range rows {
				rows[i].check(t, g, fmt.Sprintf("p%d", i), typ)
			}
			if !strings.Contains(g.Log.String(), `"failed":"p0:402"`) {
				t.Error("the log does not name who failed")
			}
		})
	}
}

// An error that stands where an answer should be, under status 200 or as a stream's first event, moves on as the same error with a status
// does; alone, its client never reads it as an answer.
func TestWhoseFaultWithin(t *testing.T) {
	for _, typ := range types() {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			well := gatewaytest.Serve(t, fakeprovider.Translate(typ, &fakeprovider.ToolCaller{Key: "sk-fallback"}))
			toml := []string{"[settings]\nmax_retries = 1\nfailure_threshold = 1000\n", typed(typ, "fallback", well)}
			rows := slices.DeleteFunc(faultRows(), func(r faultRow) bool { return !strings.Contains(r.body(typ), `"error":{`) })
			for i, r := range rows {
				id := fmt.Sprintf("p%d", i)
				toml = append(toml, typed(typ, id, gatewaytest.Serve(t, within(r.body(typ)))), gatewaytest.Model("alone"+id, "failover", id),
					gatewaytest.Model("m"+id, "failover", id)+fmt.Sprintf("[[models.m%s.backends]]\nprovider = \"fallback\"\nmodel = \"one\"\npriority = 1\n", id))
			}
			g := gatewaytest.Start(t, gatewaytest.Config(toml...))
			for i, r := range rows {
				for _, call := range faultCalls(typ) {
					for _, stream := range []string{"false", "true"} {
						ask := func(model string) (*http.Response, string) {
							body := strings.NewReplacer("MODEL", fmt.Sprintf("%sp%d", model, i), "STREAM", stream).Replace(call.body)
							return gatewaytest.Read(t, g.Post(t, call.path, body))
						}
						response, text := ask("m")
						if by := response.Header.Get("X-Berry-Provider"); by != "fallback" || response.StatusCode != 200 && call.path != "/v1/responses" {
							t.Errorf("%s, %s, stream %s: %d %.200s by %q, want the fallback's answer", r.name, call.path, stream, response.StatusCode, text, by)
						}
						if response, text = ask("alone"); response.StatusCode < 400 {
							t.Errorf("%s, %s, stream %s, alone: %d %.200s, want an error", r.name, call.path, stream, response.StatusCode, text)
						}
					}
				}
			}
		})
	}
}

// within answers every request with the error under status 200, and one for a stream with the error as the first event.
func within(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if strings.Contains(string(asked), `"stream":true`) || strings.Contains(r.URL.Path, "streamGenerateContent") {
			w.Header().Set("Content-Type", "text/event-stream")
			if strings.HasPrefix(body, `{"type":"error"`) {
				_, _ = io.WriteString(w, "event: error\n")
			}
			_, _ = io.WriteString(w, "data: "+body+"\n\n")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	})
}

// A provider's fault touches what it says, and nothing else: another model of the same provider answers all the while.
func TestOtherModelsGoOn(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		other  bool // still answers
	}{
		"a forbidden model": {403, `{"error":{"code":"model_not_found","message":"no access to model bad"}}`, true},
		"a bare 403":        {403, `{"error":{"message":"Forbidden"}}`, true},
		"a flagged prompt":  {403, `{"error":{"message":"Your input was flagged"}}`, true},
		"a firewall":        {403, `<html>`, true},
		"an unknown model":  {404, `{"error":{"code":"model_not_found","message":"The model bad does not exist"}}`, true},
		"no credit":         {402, `{"error":{"message":"Insufficient Balance"}}`, false},
		"a refused key":     {401, `{"error":{"message":"Incorrect API key"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"bad"`) {
					answering(test.status, "application/json", test.body).ServeHTTP(w, r)
					return
				}
				say(200, answer)(w, r)
			}))
			g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", gatewaytest.Provider("p", url), gatewaytest.Model("good", "failover", "p"),
				strings.Replace(gatewaytest.Model("bad", "failover", "p"), `"one"`, `"bad"`, 1)))
			for range 20 {
				g.Chat(t, "bad")
			}
			response, text := g.Chat(t, "good")
			if (response.StatusCode == 200) != test.other {
				t.Errorf("the other model: %d %s", response.StatusCode, text)
			}
		})
	}
}

// One stray 401 touches nothing; a key that is refused five times in a row takes the provider out.
func TestRefusedKeyNeedsEvidence(t *testing.T) {
	refused := say(401, `{"error":{"message":"Incorrect API key"}}`)
	p := &script{steps: []http.HandlerFunc{refused, say(200, answer), refused, refused, refused, refused, say(200, answer), refused, refused, refused, refused, refused, say(200, answer)}}
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
	var got []int
	for range 13 {
		response, _ := g.Chat(t, "m")
		got = append(got, response.StatusCode)
	}
	if want := []int{502, 200, 502, 502, 502, 502, 200, 502, 502, 502, 502, 502, 503}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if s := g.Status(t).Providers[0].State; s != "refused" {
		t.Error(s)
	}
}

// A stream that has carried nothing yet moves on like any other answer, and what was held back is not the client's.
func TestStreamsAreHeldUntilTheyCarry(t *testing.T) {
	role := "data: {\"id\":\"first\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
	good := chunk("hello", `"stop"`) + "data: [DONE]\n\n"
	for name, step := range map[string]http.HandlerFunc{
		"cut after the role":      stream(reset, role),
		"an error after the role": stream(nil, role, "data: {\"error\":{\"type\":\"server_error\"}}\n\n"),
		"no credit after it":      stream(nil, role, "data: {\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}\n\n"),
		"silence after the role":  stream(silence, role),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := &script{steps: []http.HandlerFunc{step}}, &script{steps: []http.HandlerFunc{stream(nil, good)}}
			g := pair(t, "first_token_timeout_seconds = 1", first, second)
			if _, text := gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)); text != good {
				t.Errorf("%q, want %q", text, good)
			}
		})
	}
}
