package relay_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// ask sends a request as the user with the token.
func ask(t *testing.T, g *gatewaytest.Gateway, token, method, path, body string) (status int, answer string) {
	t.Helper()
	response, answer := gatewaytest.Read(t, g.Send(t, token, method, path, body))
	return response.StatusCode, answer
}

const bob = "berry-bob-0123456789ab"

// stores is a gateway whose model "m" asks two stores in turn; bob may use "other" alone.
func stores(t *testing.T, add ...string) (*gatewaytest.Gateway, *fakeprovider.Responses, *fakeprovider.Responses) {
	a, b := &fakeprovider.Responses{Name: "a"}, &fakeprovider.Responses{Name: "b"}
	toml := gatewaytest.Config(append([]string{
		"[users.bob]\ntoken = \"" + bob + "\"\n",
		gatewaytest.Provider("a", gatewaytest.Serve(t, a)), gatewaytest.Provider("b", gatewaytest.Serve(t, b)), `
[models.m]
strategy = "round_robin"
response_model = "client"
[[models.m.backends]]
provider = "a"
model = "one"
[[models.m.backends]]
provider = "b"
model = "two"
[models.other]
strategy = "round_robin"
[[models.other.backends]]
provider = "a"
model = "three"
`}, add...)...)
	return gatewaytest.Start(t, toml), a, b
}

type response struct {
	ID, Model, Said string
	Previous        string `json:"previous_response_id"`
}

func decode(t *testing.T, text string) response {
	t.Helper()
	var r response
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

// Requests that refer to a stored response go to the upstream that created it, regardless of the strategy.
func TestFollowUps(t *testing.T) {
	g, a, b := stores(t)
	alice := func(method, path, body string) (int, string) {
		return ask(t, g, gatewaytest.Token, method, path, body)
	}
	for range 4 { // both are asked in turn
		_, first := alice("POST", "/v1/responses", `{"model":"m","input":"hi"}`)
		made := decode(t, first)
		if made.Model != "m" || !strings.HasPrefix(made.ID, "resp_") || strings.Contains(first, `"resp_a`) || strings.Contains(first, `"resp_b`) {
			t.Fatalf("%s", first)
		}
		for range 2 {
			status, got := alice("GET", "/v1/responses/"+made.ID+"?include[]=x&key=k", "")
			if status != 200 || got != first {
				t.Fatalf("%d %s", status, got)
			}
		}
		_, got := alice("GET", "/v1/responses/"+made.ID+"?stream=true", "")
		if strings.Count(got, made.ID) != 2 || !strings.Contains(got, "event: response.completed") || strings.Contains(got, `"resp_a`) {
			t.Fatalf("%s", got)
		}
		if status, got := alice("GET", "/v1/responses/"+made.ID+"/input_items?limit=5", ""); status != 200 || !strings.Contains(got, `"list"`) {
			t.Fatalf("%d %s", status, got)
		}
		if status, got := alice("POST", "/v1/responses/"+made.ID+"/cancel", ""); status != 200 || got != first {
			t.Fatalf("%d %s", status, got)
		}
		_, got = alice("POST", "/v1/responses", `{"previous_response_id" : "`+made.ID+`","model":"m","input":"there"}`)
		if next := decode(t, got); next.Previous != made.ID || next.Said != made.Said+", then "+strings.Fields(made.Said)[0]+" heard: there" {
			t.Fatalf("%s", got)
		}
		if status, got := alice("DELETE", "/v1/responses/"+made.ID, ""); status != 200 || !strings.Contains(got, `"`+made.ID+`"`) {
			t.Fatalf("%d %s", status, got)
		}
		if status, got := alice("GET", "/v1/responses/"+made.ID, ""); status != 404 || !strings.Contains(got, made.ID) {
			t.Fatalf("%d %s", status, got)
		}
	}
	if a.Asked[1] != "GET /v1/responses/resp_a1?include%5B%5D=x" || len(a.Asked) == 0 || len(b.Asked) == 0 {
		t.Errorf("%q %q", a.Asked, b.Asked)
	}
}

// Forged, modified and other users' response ids are rejected.
func TestForeignIDs(t *testing.T) {
	g, a, _ := stores(t)
	_, first := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", `{"model":"other","input":"secret"}`)
	id := decode(t, first).ID
	asked := len(a.Asked)
	other := "x"
	if id[20:21] == other {
		other = "y"
	}
	for name, test := range map[string]struct{ token, id string }{
		"the provider's": {gatewaytest.Token, "resp_a1"}, "another user's": {bob, id}, "changed": {gatewaytest.Token, id[:20] + other + id[21:]},
		"none": {gatewaytest.Token, "x"}, "longer": {gatewaytest.Token, id + "AAAA"},
	} {
		for _, call := range [][3]string{
			{"GET", "/v1/responses/" + test.id, ""}, {"DELETE", "/v1/responses/" + test.id, ""}, {"POST", "/v1/responses/" + test.id + "/cancel", ""},
			{"GET", "/v1/responses/" + test.id + "/input_items", ""},
			{"POST", "/v1/responses", `{"model":"other","input":"x","previous_response_id":"` + test.id + `"}`},
		} {
			if status, got := ask(t, g, test.token, call[0], call[1], call[2]); status != 404 || !strings.Contains(got, `"response_not_found"`) {
				t.Errorf("%s: %s %s: %d %s", name, call[0], call[1], status, got)
			}
		}
	}
	for _, body := range []string{
		`{"model":"other","previous_response_id":"` + id + `","previous_response_id":"resp_a1"}`,
		`{"model":"other","previous_response_id":"` + id + `","Previous_Response_ID":"resp_a1"}`,
		`{"model":"other","previous_response_id":7}`,
		`{"model":"other","conversation":"conv_1","Conversation":"conv_2"}`,
		`{"model":"other","conversation":"conv_1","conversation":"conv_2"}`,
		`{"model":"other","conver\u0073ation":"conv_2"}`,
	} {
		if status, got := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", body); status != 400 {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
	if len(a.Asked) != asked {
		t.Errorf("the provider was asked %q", a.Asked[asked:])
	}
}

// A request without a body is sent once in an attempt, and once more, over a new connection, if it met the end of a kept one; net/http does
// not repeat it by itself.
func TestAttemptsAreRequests(t *testing.T) {
	for name, test := range map[string]struct{ method, path string }{
		"GET": {"GET", "/v1/responses/ID"}, "DELETE": {"DELETE", "/v1/responses/ID"}, "POST": {"POST", "/v1/responses/ID/cancel"},
		"list of files": {"GET", "/v1/files"}, "WebSocket": {"GET", "/v1/realtime?model=m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
			p := &script{steps: []http.HandlerFunc{say(200, `{"id":"resp_1","object":"response"}`), say(400, `{"error":{"message":"no"}}`), broken}}
			g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 0\n", gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
			_, first := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", `{"model":"m"}`)
			r, err := http.NewRequestWithContext(t.Context(), test.method, g.URL+strings.Replace(test.path, "ID", decode(t, first).ID, 1), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Authorization": {"Bearer " + gatewaytest.Token}, "Idempotency-Key": {"k"}}
			if name == "WebSocket" {
				r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
				r.Header["Sec-Websocket-Version"], r.Header["Sec-Websocket-Key"] = []string{"13"}, []string{"AAAAAAAAAAAAAAAAAAAAAA=="}
			}
			for i, status := range []int{400, 502} { // after the refusal the connection can be used again
				response, err := g.Client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, got := gatewaytest.Read(t, response)
				if response.StatusCode != status || p.attempts.Load() != int64(2*i)+2 { // once more over a new connection, and no more
					t.Errorf("%d after %d requests: %s", response.StatusCode, p.attempts.Load(), got)
				}
			}
		})
	}
}

// A response outlives a reload, but is no way around what its user may use, nor around another account.
func TestFollowUpsAfterReload(t *testing.T) {
	g, _, _ := stores(t)
	_, first := ask(t, g, bob, "POST", "/v1/responses", `{"model":"other","input":"x"}`)
	path := "/v1/responses/" + decode(t, first).ID
	before, err := os.ReadFile(g.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, becomes string
		status       int
		code         string
	}{
		{"[users.bob]", "# the same\n[users.bob]", 200, ""},
		{"[users.bob]", "[users.bob]\nallowed_models = [\"m\"]", 403, "model_not_allowed"},
		{"sk-a", "sk-another", 404, "response_not_found"},
		{"[users.bob]", "[users.bob]\nname = \"Bob\"", 200, ""},
	} {
		g.Rewrite(t, strings.Replace(string(before), test.old, test.becomes, 1))
		if status, got := ask(t, g, bob, "GET", path, ""); status != test.status || !strings.Contains(got, test.code) {
			t.Errorf("%s: %d %s", test.becomes, status, got)
		}
	}
}

// A provider's errors about a previous response contain the gateway's id.
func TestRefusedPrevious(t *testing.T) {
	const told = `"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"`
	event := func(text string) string { return "event: x\ndata: " + text + "\n\n" }
	for name, step := range map[string]http.HandlerFunc{
		"status":           say(400, `{"error":{`+told+`}}`),
		"plain error":      say(200, `{"error":{`+told+`}}`),
		"failed":           say(200, `{"id":"resp_2","object":"response","status":"failed","error":{`+told+`}}`),
		"event":            stream(nil, event(`{"type":"error","error":{`+told+`}}`)),
		"event after more": stream(nil, event(`{"type":"response.created","response":{"id":"resp_2"}}`), event(`{`+strings.Replace(told, `"type":"invalid_request_error"`, `"type":"error"`, 1)+`}`)),
		"failed as events": stream(nil, event(`{"type":"response.failed","response":{"id":"resp_2","error":{`+told+`}}}`)),
	} {
		t.Run(name, func(t *testing.T) {
			p := &script{steps: []http.HandlerFunc{say(200, `{"id":"resp_1","object":"response"}`), step}}
			g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, p)), gatewaytest.Model("m", "failover", "p")))
			_, first := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", `{"model":"m","input":"x"}`)
			ours := decode(t, first).ID
			_, got := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", `{"model":"m","input":"x","stream":true,"previous_response_id":"`+ours+`"}`)
			if !strings.Contains(got, "id '"+ours+"' not found") || strings.Contains(got, "resp_1") {
				t.Error(got)
			}
		})
	}
}

// What a client gets of streams that end in one way or another.
func TestResponseStreams(t *testing.T) {
	event := func(kind, rest string) string {
		return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\",\"sequence_number\":4" + rest + "}\n\n"
	}
	created := event("response.created", `,"response":{"id":"resp_1","object":"response","status":"in_progress","error":null}`)
	delta := event("response.output_text.delta", `,"item_id":"msg_1","delta":"hel"`)
	completed := event("response.completed", `,"response":{"id":"resp_1","usage":{"input_tokens":3,"output_tokens":2}}`)
	failed := func(code string) string {
		return event("response.failed", `,"response":{"id":"resp_1","error":{"code":"`+code+`","message":"boom"}}`)
	}
	fault := event("error", `,"code":"server_error","message":"boom","param":null`)
	whole := []string{created, delta, completed}
	for name, test := range map[string]struct {
		model   string
		steps   []http.HandlerFunc
		status  int
		want    string // what the answer ends with
		second  int64
		outcome string
	}{
		"whole":                       {"m", []http.HandlerFunc{stream(nil, whole...)}, 200, `"output_tokens":2}}}`, 0, "ok"},
		"with [DONE]":                 {"m", []http.HandlerFunc{stream(nil, append(whole, "data: [DONE]\n\n")...)}, 200, `"output_tokens":2}}}`, 0, "ok"},
		"incomplete":                  {"m", []http.HandlerFunc{stream(nil, created, event("response.incomplete", `,"response":{"id":"resp_1"}`))}, 200, `"}}`, 0, "ok"},
		"the prompt's fault":          {"m", []http.HandlerFunc{stream(nil, created, failed("invalid_prompt"))}, 200, `"message":"boom"}}}`, 0, "ok"},
		"cut":                         {"m", []http.HandlerFunc{stream(reset, created, delta)}, 200, "EVENT upstream_error", 0, "failed"},
		"ended early":                 {"m", []http.HandlerFunc{stream(nil, created, delta)}, 200, "EVENT upstream_error", 0, "failed"},
		"stalled":                     {"m", []http.HandlerFunc{stream(silence, created, delta)}, 200, "EVENT upstream_timeout", 0, "failed"},
		"error after created":         {"m", []http.HandlerFunc{stream(nil, created, fault)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"failed after created":        {"m", []http.HandlerFunc{stream(nil, created, failed("server_error"))}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"cut after created":           {"m", []http.HandlerFunc{stream(reset, created)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"error within":                {"m", []http.HandlerFunc{stream(nil, created, delta, fault)}, 200, `"message":"boom","param":null}`, 0, "failed"},
		"failed within":               {"m", []http.HandlerFunc{stream(nil, created, delta, failed("server_error"))}, 200, `"message":"boom"}}}`, 0, "failed"},
		"key refused first":           {"m", []http.HandlerFunc{stream(nil, failed("invalid_api_key"))}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"key refused within":          {"m", []http.HandlerFunc{stream(nil, created, delta, failed("invalid_api_key"))}, 200, "EVENT upstream_error", 0, "failed"},
		"no credit first":             {"m", []http.HandlerFunc{stream(nil, failed("insufficient_quota"))}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"plain, key refused":          {"m", []http.HandlerFunc{say(200, `{"id":"resp_1","object":"response","error":{"code":"invalid_api_key","message":"boom"}}`)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"error first":                 {"m", []http.HandlerFunc{stream(nil, fault)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"failed first":                {"m", []http.HandlerFunc{stream(nil, failed("server_error"))}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"cut first":                   {"m", []http.HandlerFunc{stream(reset)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"plain, failed by the server": {"m", []http.HandlerFunc{say(200, `{"id":"resp_1","object":"response","error":{"code":"server_error","message":"boom"}}`)}, 200, `"output_tokens":2}}}`, 1, "ok"},
		"held back, cut":              {"held", []http.HandlerFunc{stream(reset, created, delta)}, 200, `"output_tokens":2}}}`, 1, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := &script{steps: test.steps}, &script{steps: []http.HandlerFunc{stream(nil, whole...)}}
			toml := gatewaytest.Config("[settings]\nstream_idle_timeout_seconds = 1\n",
				gatewaytest.Provider("first", gatewaytest.Serve(t, first)), gatewaytest.Provider("second", gatewaytest.Serve(t, second)))
			for _, m := range []string{"m", "held"} {
				toml += "[models." + m + "]\nstrategy = \"failover\"\n"
				if m == "held" {
					toml += "stream_recovery = \"restart\"\n"
				}
				for i, p := range []string{"first", "second"} {
					toml += "[[models." + m + ".backends]]\nprovider = \"" + p + "\"\nmodel = \"x\"\npriority = " + string("01"[i]) + "\n"
				}
			}
			g := gatewaytest.Start(t, toml)
			status, got := ask(t, g, gatewaytest.Token, "POST", "/v1/responses", `{"model":"`+test.model+`","input":"x","stream":true}`)
			got = strings.TrimRight(got, "\n")
			ends := strings.HasSuffix(got, test.want)
			if code, ok := strings.CutPrefix(test.want, "EVENT "); ok {
				_, last, _ := strings.Cut(got, "\n\nevent: error\ndata: ")
				var e struct {
					Type, Code string
					Number     int `json:"sequence_number"`
					Error      struct{ Code string }
				}
				ends = json.Unmarshal([]byte(last), &e) == nil && e.Type == "error" && e.Code == code && e.Error.Code == code && e.Number == 5
			}
			if status != test.status || !ends || strings.Contains(got, `"resp_1"`) || strings.Contains(got, "[DONE]") || second.attempts.Load() != test.second {
				t.Errorf("%d (%d) %s", status, second.attempts.Load(), got)
			}
			gatewaytest.Wait(t, "the outcome is logged", func() bool { return strings.Contains(g.Log.String(), `"outcome":"`+test.outcome+`"`) })
			if test.outcome == "ok" && strings.Contains(test.want, "tokens") && !strings.Contains(g.Log.String(), `"output_tokens":2`) {
				t.Error("the tokens are not counted")
			}
		})
	}
}

// A response, or an event, that is larger than what is held of an answer has the client's id and model, too; its tokens count.
func TestLargeResponses(t *testing.T) {
	t.Parallel()
	image := strings.Repeat("x", 20<<20)
	response := `{"id":"resp_1","object":"response","model":"one","output":[{"id":"ig_1","type":"image_generation_call","result":"` + image + `"}],` +
		`"previous_response_id":null,"usage":{"input_tokens":3,"output_tokens":2}}`
	p := &script{steps: []http.HandlerFunc{
		say(200, response),
		stream(nil, `data: {"type":"response.completed","response":`+response+"}\n\n"),
	}}
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, p)), `
[models.alone]
strategy = "failover"
response_model = "client"
[[models.alone.backends]]
provider = "p"
model = "one"
`))
	for _, body := range []string{`{"model":"alone","input":"x"}`, `{"model":"alone","input":"x","stream":true}`} {
		r := g.Post(t, "/v1/responses", body)
		_, got := gatewaytest.Read(t, r)
		if len(got) < len(image) || strings.Contains(got, `"resp_1"`) || strings.Contains(got, `"one"`) || !strings.Contains(got, `"model":"alone"`) ||
			!strings.Contains(got, `"previous_response_id":null,"usage":{"input_tokens":3`) {
			t.Errorf("%s: %d, %d bytes: %.120s … %s", body, r.StatusCode, len(got), got, got[max(0, len(got)-120):])
		}
	}
}
