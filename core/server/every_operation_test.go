package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
	"github.com/berrygate/berry/sdk/abi"
)

// call returns a request of the operation for the named model, response or provider.
func call(t *testing.T, url string, op core.Operation, name, token string) *http.Request {
	t.Helper()
	body, kind, id, query := fmt.Sprintf(`{"model":%q}`, name), "application/json", "id-1", ""
	switch op.Resolver.(type) {
	case core.FormModel:
		const part = "--b\r\nContent-Disposition: form-data; name="
		body = part + "\"file\"; filename=\"a\"\r\n\r\nabc\r\n" + part + "\"model\"\r\n\r\n" + name + "\r\n--b--\r\n"
		kind = "multipart/form-data; boundary=b"
	case core.AccountCall:
		body = ""
	case core.StoredResponse:
		body, id = "", name
	case core.RealtimeSession:
		body, query = "", "?model="+name
	}
	r, err := http.NewRequest(op.Method, url+strings.Replace(op.Route(), "{id}", id, 1)+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Traceparent", "00-"+traceID(op)+"-00000000000000c1-01")
	if op.Protocol.RequestID() != "" {
		r.Header.Set("X-Api-Key", token)
	} else {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// traceID returns the trace id of the operation's requests.
func traceID(op core.Operation) string {
	return fmt.Sprintf("%032x", abi.Hash(op.Method+op.Path))
}

// tree returns the expected trace of the operation when the provider fails once.
func tree(op core.Operation, model string) string {
	attempt := op.Name + " " + model + " (client)"
	return op.Method + " " + op.Route() + ` (server)
    auth (internal)
    permission (internal)
    select (internal)
    relay (internal)
        ` + attempt + ` error: status 500
        select (internal)
        ` + attempt + `
    metrics (internal)
`
}

// ask sends the operation's request and returns the status and the body, or a WebSocket's first message.
func ask(t *testing.T, g *gatewaytest.Gateway, op core.Operation, name, token string) (status int, text string) {
	t.Helper()
	r := call(t, g.URL, op, name, token)
	if op.Path != core.Realtime {
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, text = gatewaytest.Read(t, response)
		return response.StatusCode, text
	}
	socket, response, err := websocket.Dial(t.Context(), r.URL.String(), &websocket.DialOptions{HTTPHeader: r.Header})
	switch {
	case response == nil:
		t.Fatal(err)
	case err != nil:
		_, text = gatewaytest.Read(t, response)
		return response.StatusCode, text
	}
	_, message, err := socket.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	return http.StatusOK, string(message)
}

const bob = "berry-bob-0123456789abc" // may use only the model "other"

// refusals returns the error codes of bob's request and of one that names something unknown; "" if there is no such error.
func refusals(op core.Operation) (forbidden, unknown string) {
	switch op.Resolver.(type) {
	case core.AccountCall:
		return "provider_not_allowed", ""
	case core.StoredResponse: // another user's response is reported as unknown
		return "response_not_found", "response_not_found"
	default:
		return "model_not_allowed", "model_not_found"
	}
}

// A flakyProvider fails its first request and serves the others.
type flakyProvider struct {
	asked, answered atomic.Int64 // all requests, and the successful ones
}

func (p *flakyProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if p.asked.Add(1) == 1 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if r.Header.Get("Authorization") == "Bearer sk-p" || r.Header.Get("X-Api-Key") == "sk-p" {
		p.answered.Add(1)
	}
	const answer = `{"id":"1","said":"yes"}`
	if r.Header.Get("Upgrade") == "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
		return
	}
	if socket, err := websocket.Accept(w, r, nil); err == nil {
		_ = socket.Write(r.Context(), websocket.MessageText, []byte(answer))
		_, _, _ = socket.Read(r.Context()) // until the client closes
	}
}

// walk returns a gateway with the provider, and the name that alice's requests of the operation contain.
func walk(t *testing.T, op core.Operation, p *flakyProvider) (g *gatewaytest.Gateway, name string) {
	provider := gatewaytest.Provider("p", gatewaytest.Serve(t, p))
	if op.Protocol.RequestID() != "" {
		provider += "type = \"anthropic\"\n"
	}
	g = gatewaytest.Start(t, gatewaytest.Config(provider, gatewaytest.Model("m", "failover", "p"),
		"[users.bob]\ntoken = \""+bob+"\"\nallowed_models = [\"other\"]\n"))
	if _, ok := op.Resolver.(core.StoredResponse); !ok {
		return g, "m"
	}
	p.asked.Store(1) // so that it does not fail this one
	_, text := gatewaytest.Read(t, g.Post(t, "/v1/responses", `{"model":"m"}`))
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	p.asked.Store(0)
	p.answered.Store(0)
	g.Log.Reset()
	return g, made.ID
}

// refusedAs returns OpenAI's error code or, for Anthropic's operations, the error type.
func refusedAs(op core.Operation, code string) string {
	if op.Protocol.RequestID() == "" {
		return fmt.Sprintf(`"code":%q`, code)
	}
	types := map[string]string{"invalid_api_key": "authentication_error", "model_not_allowed": "permission_error", "model_not_found": "not_found_error"}
	return fmt.Sprintf(`{"type":"error","error":{"type":%q`, types[code])
}

// Authentication, permission, routing, retries and telemetry work for every operation.
func TestEveryOperation(t *testing.T) {
	exported := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", exported.URL+"/v1/traces")
	for _, op := range server.Operations() {
		t.Run(op.Method+op.Path, func(t *testing.T) {
			p := &flakyProvider{}
			g, name := walk(t, op, p)
			forbidden, unknown := refusals(op)
			for _, refused := range []struct{ name, token, code string }{
				{name, "berry-nobody", "invalid_api_key"}, {name, bob, forbidden}, {"none", gatewaytest.Token, unknown},
			} {
				if refused.code == "" {
					continue
				}
				status, text := ask(t, g, op, refused.name, refused.token)
				if status < 401 || status > 404 || !strings.Contains(text, refusedAs(op, refused.code)) {
					t.Errorf("%+v: got %d %s", refused, status, text)
				}
			}
			if p.asked.Load() != 0 {
				t.Error("the provider received a rejected request")
			}
			status, text := ask(t, g, op, name, gatewaytest.Token)
			if status != 200 || !strings.Contains(text, `"said":"yes"`) || p.asked.Load() != 2 || p.answered.Load() != 1 {
				t.Errorf("got %d %s after %d attempts", status, text, p.asked.Load())
			}
			isSeen(t, g, op)
			if err := g.Stop(); err != nil { // exports the spans
				t.Fatal(err)
			}
			model := "one"
			if _, account := op.Resolver.(core.AccountCall); account {
				model = "files"
			}
			var got strings.Builder // tree without attributes
			for line := range strings.Lines(otlptest.Tree(exported.Trace(traceID(op)))) {
				if text := strings.TrimLeft(line, " "); text[0] != '|' && text[0] != '*' {
					got.WriteString(line)
				}
			}
			if !strings.Contains(got.String(), tree(op, model)) {
				t.Errorf("got trace\n%s", got.String())
			}
		})
	}
}

// isSeen fails the test unless metrics and log contain the operation, whose second attempt succeeded.
func isSeen(t *testing.T, g *gatewaytest.Gateway, op core.Operation) {
	t.Helper()
	for _, metric := range []string{
		`gen_ai_client_operation_duration_seconds_count\{berry_provider="p",error_type="server_error",gen_ai_operation_name="` + op.Name + `",.*\} 1\n`,
		`gen_ai_client_operation_duration_seconds_count\{berry_provider="p",gen_ai_operation_name="` + op.Name + `",.*\} 1\n`,
		`berry_model_requests_total\{.*outcome="ok".*\} \d\n`,
		`berry_backend_attempts_total\{.*result="server_error".*\} 1\n`,
	} {
		gatewaytest.Wait(t, "there is "+metric, func() bool { return regexp.MustCompile(metric).MatchString(g.Page(t, "/metrics")) })
	}
	gatewaytest.Wait(t, "the log says who answered in the end", func() bool {
		return strings.Contains(g.Log.String(), `"attempts":2`) && strings.Contains(g.Log.String(), fmt.Sprintf(`"route":%q`, op.Route()))
	})
	if _, account := op.Resolver.(core.AccountCall); !account && !strings.Contains(g.Log.String(), `"strategy":"failover"`) {
		t.Error("the log does not contain the strategy")
	}
}
