package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

const hello = `{"id":"x","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hi!"}}]}`

// refuse writes an error response.
func refuse(w http.ResponseWriter, status int, e string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, e)
}

// While a provider rejects one model, one prompt or one call, its other model serves every request, with and without health checks.
// (BERRY_SOAK=1 sends a request per second for a minute.)
func TestOtherModelGoesOn(t *testing.T) {
	pause := 10 * time.Millisecond
	if soaking() {
		pause = time.Second
	}
	for name, bad := range map[string]func(w http.ResponseWriter, n int64){
		"a forbidden model": func(w http.ResponseWriter, _ int64) {
			refuse(w, 403, `{"error":{"code":"model_not_found","message":"Project does not have access to model bad"}}`)
		},
		"a bare 403": func(w http.ResponseWriter, _ int64) { refuse(w, 403, `{"error":{"message":"Forbidden"}}`) },
		"a flagged prompt": func(w http.ResponseWriter, _ int64) {
			refuse(w, 403, `{"error":{"message":"bad requires moderation on p. Your input was flagged."}}`)
		},
		"a stray 401": func(w http.ResponseWriter, n int64) {
			if n == 10 {
				refuse(w, 401, `{"error":{"code":"invalid_api_key","message":"Incorrect API key provided"}}`)
				return
			}
			_, _ = io.WriteString(w, hello)
		},
	} {
		for mode, settings := range map[string]string{"checked": "", "unchecked": "health_check = false\n"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				var asked atomic.Int64
				url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					w.Header().Set("Content-Type", "application/json")
					switch {
					case r.Method == http.MethodGet:
						_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
					case strings.Contains(string(body), `"bad"`):
						bad(w, asked.Add(1))
					default:
						_, _ = io.WriteString(w, hello)
					}
				}))
				g := gatewaytest.Start(t, strings.ReplaceAll(gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 2\n",
					gatewaytest.Provider("p", url), gatewaytest.Model("good", "failover", "p"),
					strings.Replace(gatewaytest.Model("bad", "failover", "p"), `"one"`, `"bad"`, 1)), "health_check = false\n", settings))
				answered := 0
				for range 60 {
					g.Chat(t, "bad")
					if response, _ := g.Chat(t, "good"); response.StatusCode == 200 {
						answered++
					}
					time.Sleep(pause)
				}
				if answered != 60 || asked.Load() == 0 {
					t.Errorf("the other model answered %d of 60 requests; the refused one was asked %d times", answered, asked.Load())
				}
			})
		}
	}
}

// A provider that rejects the API key is out of rotation after five requests, with the reason in the status. It returns soon after the key is
// valid again, with and without health checks.
func TestKeyIsRepaired(t *testing.T) {
	for mode, settings := range map[string]string{"checked": "", "unchecked": "health_check = false\n"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var good atomic.Bool
			url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !good.Load() {
					refuse(w, 401, `{"error":{"code":"invalid_api_key","message":"Incorrect API key provided"}}`)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, hello)
			}))
			g := gatewaytest.Start(t, strings.ReplaceAll(gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 2\nmax_retries = 0\ncooldown_seconds = 1\n",
				gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p")), "health_check = false\n", settings))
			n := 0
			for ; n < 10 && g.Status(t).Providers[0].State == "healthy"; n++ {
				g.Chat(t, "m")
			}
			if p := g.Status(t).Providers[0]; n > 5 || p.State != "refused" || !strings.Contains(p.Reason, "refuses the key") {
				t.Errorf("after %d requests the provider is %s: %q", n, p.State, p.Reason)
			}
			good.Store(true)
			repaired := time.Now()
			gatewaytest.Wait(t, "an answer", func() bool {
				response, _ := g.Chat(t, "m")
				return response.StatusCode == 200
			})
			t.Logf("back %v after the repair, with checks each 2 s", time.Since(repaired).Round(time.Millisecond))
		})
	}
}

// A reload that extends a user's access from some models to all logs a warning, unless the config states that this is intended.
func TestWidenedUser(t *testing.T) {
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, hello) }))
	with := func(line string) string {
		return gatewaytest.Config("[users.bob]\ntoken = \"berry-bob-0123456789\"\n"+line+"\n", gatewaytest.Provider("p", url), gatewaytest.Model("m", "failover", "p"))
	}
	g := gatewaytest.Start(t, with(`allowed_models = ["m"]`))
	for line, want := range map[string]string{"allowed_models = []": "users.bob.allowed_models: it is empty now", "": "users.bob.allowed_models: it is empty now", "allow_all_models = true": ""} {
		g.Rewrite(t, with(`allowed_models = ["m"]`)+"# "+line+"\n")
		got := strings.Join(g.Rewrite(t, with(line)).LastReload.Warnings, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: warned of %q, want %q", line, got, want)
		}
	}
}
