package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// call returns a request for the operation, of the model, as its clients send it.
func call(t *testing.T, url string, op core.Operation, model, token string) *http.Request {
	t.Helper()
	body, kind := fmt.Sprintf(`{"model":%q}`, model), "application/json"
	switch op.Resolver.(type) {
	case core.FormModel:
		const part = "--b\r\nContent-Disposition: form-data; name="
		body = part + "\"file\"; filename=\"a\"\r\n\r\nabc\r\n" + part + "\"model\"\r\n\r\n" + model + "\r\n--b--\r\n"
		kind = "multipart/form-data; boundary=b"
	case core.AccountCall:
		body = ""
	}
	r, err := http.NewRequest(op.Method, url+strings.Replace(op.Route(), "{id}", "id-1", 1), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// Who you are, what you may, who answers, what follows a failure and what is seen of it: all that holds for every operation.
func TestEveryOperation(t *testing.T) {
	for _, op := range server.Operations() {
		t.Run(op.Method+op.Path, func(t *testing.T) {
			t.Parallel()
			const bob = "berry-bob-0123456789abc"
			var asked, answered atomic.Int64
			url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if asked.Add(1) == 1 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				if r.Header.Get("Authorization") == "Bearer sk-p" {
					answered.Add(1)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"id":"1"}`)
			}))
			g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p"), "[users.bob]\ntoken = \""+bob+"\"\nallowed_models = [\"other\"]\n"))
			ask := func(model, token string) (int, string) {
				response, err := g.Client.Do(call(t, g.URL, op, model, token))
				if err != nil {
					t.Fatal(err)
				}
				_, text := gatewaytest.Read(t, response)
				return response.StatusCode, text
			}
			if status, text := ask("m", "berry-nobody"); status != 401 || !strings.Contains(text, `"code":"invalid_api_key"`) {
				t.Errorf("a stranger gets %d %s", status, text)
			}
			if status, text := ask("m", bob); status != 403 || !strings.Contains(text, `"code":"model_not_allowed"`) && !strings.Contains(text, `"code":"provider_not_allowed"`) {
				t.Errorf("who may not gets %d %s", status, text)
			}
			if _, account := op.Resolver.(core.AccountCall); !account {
				if status, text := ask("none", gatewaytest.Token); status != 404 || !strings.Contains(text, `"code":"model_not_found"`) {
					t.Errorf("an unknown model gets %d %s", status, text)
				}
			}
			if asked.Load() != 0 {
				t.Error("a refused request was sent")
			}
			if status, text := ask("m", gatewaytest.Token); status != 200 || text != `{"id":"1"}` || asked.Load() != 2 || answered.Load() != 1 {
				t.Errorf("%d %s after %d attempts", status, text, asked.Load())
			}
			if page := g.Page(t, "/metrics"); !strings.Contains(page, fmt.Sprintf("gen_ai_operation_name=%q", op.Name)) {
				t.Error("the metrics do not name it")
			}
			gatewaytest.Wait(t, "the log says who answered in the end", func() bool {
				return strings.Contains(g.Log.String(), `"attempts":2`) && strings.Contains(g.Log.String(), fmt.Sprintf(`"route":%q`, op.Route()))
			})
			if _, account := op.Resolver.(core.AccountCall); !account && !strings.Contains(g.Log.String(), `"strategy":"failover"`) {
				t.Error("the log does not say which strategy has picked")
			}
		})
	}
}
