package permission_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// Who may use some models only cannot have a provider ask another one by a parameter beside the model; whoever may use all can.
func TestOtherModels(t *testing.T) {
	const token = "berry-bob-0123456789ab"
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","choices":[]}`)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config("[users.bob]\ntoken = \""+token+"\"\nallowed_models = [\"m\", \"also\"]\n",
		gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p"), gatewaytest.Model("also", "failover", "p"), gatewaytest.Model("secret", "failover", "p")))
	for members, param := range map[string]string{
		``:                                                       "",
		`"models":["m","also"]`:                                  "",
		`"models":["m","secret"]`:                                "models",
		`"models":["openai/gpt-5"]`:                              "models",
		`"Models":["secret"]`:                                    "models",
		`"mod\u0065ls":["secret"]`:                               "models",
		`"models":["m"],"models":["secret"]`:                     "models",
		`"models":"secret"`:                                      "models",
		`"models":[["secret"]]`:                                  "models",
		`"models":null,"route":null`:                             "",
		`"route":"fallback"`:                                     "route",
		`"fallbacks":[{"model":"also"}]`:                         "",
		`"fallbacks":[{"model":"secret"}]`:                       "fallbacks",
		`"fallbacks":["secret"]`:                                 "fallbacks",
		`"fallbacks":[{"Model":"secret"}]`:                       "fallbacks",
		`"tools":[{"type":"function"}]`:                          "",
		`"tools":[{"type":"image_generation","model":"secret"}]`: "tools",
		`"tools":[{"type":"image_generation","model":"also"}]`:   "",
		`"tools":[{"type":"function"},{"type":"advisor_20260301","model":"claude"}]`:                                    "tools",
		`"tools":[[{"model":"secret"}]]`:                                                                                "tools",
		`"tools":[{"type":"x","image_generation":{"model":"secret"}}]`:                                                  "tools",
		`"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"model":{"type":"string"}}}}}]`: "",
		`"tools":[{"name":"f","input_schema":{"properties":{"model":{"type":"string"}}}}]`:                              "",
		`"context_window_fallbacks":[{"m":["secret"]}]`:                                                                 "context_window_fallbacks",
		`"fallback\u017f":["secret"]`:                                                                                   "fallbacks",
		`"model_list":[{}]`:                                                                                             "model_list",
		`"deployment_id":"secret"`:                                                                                      "deployment_id",
		`"extra_body":{"fallbacks":["secret"]}`:                                                                         "fallbacks",
		`"extra_body":{"model":"secret"}`:                                                                               "model",
		`"extra_body":{"google":{"thinking_config":{"thinking_budget":100}}}`:                                           "",
		`"extra_body":{"extra_body":{"route":"fallback"}}`:                                                              "route",
		`"compound_custom":{"models":{}}`:                                                                               "compound_custom",
		`"fallbacks":[{"m":["secret"]}]`:                                                                                "fallbacks",
		`"fallback_models":["secret"]`:                                                                                  "fallback_models",
		`"user_config":{"model_list":[{}]}`:                                                                             "user_config",
		`"router_settings_override":{"fallbacks":[{}]}`:                                                                 "router_settings_override",
		`"dataSources":[{}]`:                                                                                            "datasources",
		`"disable_fallbacks":true,"fallbacks":false,"route":""`:                                                         "",
		`"plugins":[{"id":"web","max_results":3}]`:                                                                      "",
		`"plugins":[{"id":"fusion","analysis_models":["a"]}]`:                                                           "plugins",
		`"plugins":[{"id":"auto-router","allowed_models":["*"]}]`:                                                       "plugins",
		`"tools":[{"type":"openrouter:advisor","parameters":{"model":"~a/b"}}]`:                                         "tools",
		`"tools":[{"type":"openrouter:fusion","parameters":{"analysis_models":["a"]}}]`:                                 "tools",
		`"tools":[{"type":"function","type":"openrouter:advisor","parameters":{"model":"a"}}]`:                          "tools",
		`"tools":[{"type":"function","name":"f","parameters":{"model":"a"}}]`:                                           "",
		`"tools":[{"type":"custom","custom":{"name":"f","format":{"model":"a"}}}]`:                                      "",
		`"tools":[{"name":"f","input_schema":{"type":"object"},"input_examples":[{"model":"T-Ford"}]}]`:                 "",
		`"tools":[{"type":"mcp","server_label":"a","headers":{"model":"T-Ford"}}]`:                                      "",
		`"providerOptions":{"gateway":{"models":["a"]}}`:                                                                "provideroptions",
		`"litellm_params_template":{"model":"a"}`:                                                                       "litellm_params_template",
		`"tools":[{"type":"x","api_base":"http://elsewhere"}]`:                                                          "tools",
		`"models\u0000":["secret"]`:                                                                                     "models",
		`"safety_model":"secret"`:                                                                                       "safety_model",
		`"input":[{"type":"tool_search_output","tools":[{"type":"image_generation","model":"secret"}]}]`:                "input",
		`"input":[{"type":"message","content":"tools"},{"type":"tool_search_output","tools":[{"type":"function","name":"f","parameters":{"model":"a"}}]}]`: "",
		`"preset":"a"`:                                            "preset",
		`"data_sources":[{}]`:                                     "data_sources",
		`"api_base":"http://elsewhere"`:                           "api_base",
		`"base_url":"http://elsewhere"`:                           "base_url",
		`"metadata":{"models":["secret"]}`:                        "",
		`"messages":[{"role":"user","content":"models: secret"}]`: "",
	} {
		for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/messages"} {
			for user, mine := range map[string]string{token: param, gatewaytest.Token: ""} {
				body := `{"model":"m","max_tokens":9,` + members
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, strings.NewReader(strings.TrimSuffix(body, ",")+"}"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+user)
				response, err := g.Client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, text := gatewaytest.Read(t, response)
				refused := response.StatusCode == http.StatusForbidden && strings.Contains(text, mine) && (strings.Contains(text, "model_not_allowed") || path == "/v1/messages")
				if refused != (mine != "") {
					t.Errorf("%s, %s: %d %s; want refused for %q", path, members, response.StatusCode, text, mine)
				}
			}
		}
	}
}

// The same names are refused as parts of a form, whatever their values, before the file and after it.
func TestOtherModelsInForms(t *testing.T) {
	const token = "berry-bob-0123456789ab"
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"a"}`)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config("[users.bob]\ntoken = \""+token+"\"\nallowed_models = [\"m\"]\n", gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")))
	for name, refused := range map[string]bool{
		"language": false, "models": true, "models[]": true, "plugins": true, "tools": true, "user_config": true, "fallbacks.0": true, "fallbacks": true, "Fallbacks[0][model]": true, "api_base": true, "base_url": true, "route": true, "context_window_fallbacks": true,
	} {
		for _, last := range []bool{false, true} {
			for user, all := range map[string]bool{token: false, gatewaytest.Token: true} {
				var b bytes.Buffer
				w := multipart.NewWriter(&b)
				fields := []func(){
					func() { _ = w.WriteField("model", "m") },
					func() { _ = w.WriteField(name, "secret") },
					func() {
						if part, err := w.CreateFormFile("file", "a.mp3"); err == nil {
							_, _ = part.Write(make([]byte, 100<<10))
						}
					},
				}
				if last {
					fields[1], fields[2] = fields[2], fields[1]
				}
				for _, write := range fields { // a buffer takes all
					write()
				}
				_ = w.Close()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v1/audio/transcriptions", &b)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+user)
				r.Header.Set("Content-Type", w.FormDataContentType())
				response, err := g.Client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, text := gatewaytest.Read(t, response)
				want := http.StatusOK
				if refused && !all {
					want = http.StatusForbidden
				}
				if response.StatusCode != want {
					t.Errorf("%s, last %t, by one who may all %t: %d %s, want %d", name, last, all, response.StatusCode, text, want)
				}
			}
		}
	}
}
