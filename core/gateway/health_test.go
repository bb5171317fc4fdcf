package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A mortal is a provider that can stop listening and start again at the same address.
type mortal struct {
	*fakeprovider.Provider
	address string
	server  *http.Server
}

func (m *mortal) live(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", m.address)
	must(t, err)
	m.address, m.server = l.Addr().String(), &http.Server{Handler: m.Provider}
	go m.server.Serve(l)
}

func (m *mortal) die(t *testing.T) {
	t.Helper()
	must(t, m.server.Close())
}

// checked returns the TOML with health checks enabled.
func checked(toml string) string { return strings.ReplaceAll(toml, "health_check = false", "") }

// A stopped provider is out of rotation at the latest when its failures reach the threshold. After it restarts, a probe after the cooldown or the
// next active check brings it back. No request fails.
func TestProviderDiesAndComesBack(t *testing.T) {
	const threshold = 3
	for _, strategy := range []string{"round_robin", "least_latency", "failover"} {
		for _, active := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, active %t", strategy, active), func(t *testing.T) {
				t.Parallel()
				first := &mortal{&fakeprovider.Provider{Name: "first"}, "127.0.0.1:0", nil}
				first.live(t)
				defer func() { first.die(t) }()
				second := gatewaytest.Serve(t, &fakeprovider.Provider{Name: "second"})
				model := gatewaytest.Model("m", strategy, "first") + "[[models.m.backends]]\nprovider = \"second\"\nmodel = \"one\"\npriority = 1\n"
				toml := gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 2\ncooldown_seconds = 1\nmax_cooldown_seconds = 1\n"+
					fmt.Sprintf("failure_threshold = %d", threshold), gatewaytest.Provider("first", "http://"+first.address), gatewaytest.Provider("second", second), model)
				if active {
					toml = checked(toml)
				}
				g := gatewaytest.Start(t, toml)
				ask := func() (by string, attempts int) {
					g.Log.Reset()
					response, text := g.Chat(t, "m")
					if response.StatusCode != http.StatusOK {
						t.Fatalf("%d %s", response.StatusCode, text)
					}
					line := regexp.MustCompile(`"attempts":(\d+)`)
					gatewaytest.Wait(t, "it is logged", func() bool { return line.MatchString(g.Log.String()) })
					_, err := fmt.Sscan(line.FindStringSubmatch(g.Log.String())[1], &attempts)
					must(t, err)
					return response.Header.Get("X-Berry-Provider"), attempts
				}
				state := func() string { return g.Status(t).Models[0].Backends[0].State }
				reason := func() string { return g.Status(t).Models[0].Backends[0].Reason }
				both := func() { // the strategy sends traffic to the first provider, whatever else it does
					gatewaytest.Wait(t, "the first provider answers", func() bool { by, _ := ask(); return by == "first" })
				}
				both()

				first.die(t)
				failed := 0
				gatewaytest.Wait(t, "it is left", func() bool {
					_, attempts := ask()
					failed += attempts - 1
					return state() != "healthy"
				})
				want := fmt.Sprintf("^(%d failures, last: connection refused; next probe in [0-9]+ s|the health check failed: (connection refused|connection reset by peer|connection: EOF))$", threshold)
				if s := reason(); failed > threshold || !regexp.MustCompile(want).MatchString(s) {
					t.Errorf("after %d failures it is %s: %s, want %s", failed, state(), s, want)
				}
				if active {
					gatewaytest.Wait(t, "the check finds it, and the cooldown is over", func() bool { return state() == "down" })
				}
				if by, attempts := ask(); by != "second" || attempts != 1 && active {
					t.Errorf("%s answers after %d attempts", by, attempts)
				}

				first.live(t)
				lives := time.Now()
				both()
				t.Logf("it answered %v after it had come back", time.Since(lives))
				if s := state(); s != "healthy" {
					t.Error(s)
				}
			})
		}
	}
}

// A provider that rejects the API key is out of rotation until the key is fixed: in the config or at the provider, which a health check or the
// next reload detects.
func TestRefusedKeyHeals(t *testing.T) {
	const refused = "refused"
	for name, test := range map[string]struct {
		check bool
		mend  func(t *testing.T, g *gatewaytest.Gateway, toml string, taken *atomic.Value)
	}{
		"in the config": {false, func(t *testing.T, g *gatewaytest.Gateway, toml string, _ *atomic.Value) {
			g.Rewrite(t, strings.Replace(toml, "sk-p", "sk-right", 1))
		}},
		"at the provider's, found by a check": {true, func(_ *testing.T, _ *gatewaytest.Gateway, _ string, taken *atomic.Value) {
			taken.Store("Bearer sk-p")
		}},
		"at the provider's, found after a reload": {false, func(t *testing.T, g *gatewaytest.Gateway, _ string, taken *atomic.Value) {
			taken.Store("Bearer sk-p")
			reload(t, g)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var taken atomic.Value
			taken.Store("Bearer sk-right")
			p := &fakeprovider.Provider{}
			toml := gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 1\n"+
				gatewaytest.Provider("p", gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != taken.Load() {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					p.ServeHTTP(w, r)
				}))), gatewaytest.Model("m", "failover", "p"))
			if test.check {
				toml = checked(toml)
			}
			g := gatewaytest.Start(t, toml)
			state := func() string { return g.Status(t).Models[0].Backends[0].State }
			if !test.check {
				for range 5 { // attempts find out
					g.Chat(t, "m")
				}
			}
			gatewaytest.Wait(t, "the key is refused", func() bool { return state() == refused })
			if response, text := g.Chat(t, "m"); response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			if n := strings.Count(g.Log.String(), `"level":"WARN","msg":"provider health","provider":"p","state":"refused","reason":"the provider refuses the key; `); n != 1 {
				t.Errorf("the log tells %d times of the refused key", n)
			}
			test.mend(t, g, toml, &taken)
			gatewaytest.Wait(t, "it heals", func() bool { return state() == "healthy" })
			if response, text := g.Chat(t, "m"); response.StatusCode != http.StatusOK {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			if page := g.Page(t, "/metrics"); !strings.Contains(page, `berry_backend_health_changes_total{berry_provider="p",state="refused"} 1`) {
				t.Error("the change was not counted")
			}
		})
	}
}

// A shorter check interval takes effect with the reload, not after the previous interval.
func TestShorterInterval(t *testing.T) {
	var checks atomic.Int64
	url := gatewaytest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { checks.Add(1) }))
	toml := gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 3600\n",
		checked(gatewaytest.Provider("p", url)), gatewaytest.Model("m", "failover", "p"))
	g := gatewaytest.Start(t, toml)
	gatewaytest.Wait(t, "it is checked at once", func() bool { return checks.Load() == 1 })
	g.Rewrite(t, strings.Replace(toml, "3600", "1", 1))
	gatewaytest.Wait(t, "it is checked again and again", func() bool { return checks.Load() >= 3 })
}

// If the health checks of all backends fail, requests still go to them: a provider without a list of models may still serve requests.
func TestPanic(t *testing.T) {
	p := &fakeprovider.Provider{Name: "p"}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		p.ServeHTTP(w, r)
	}))
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nhealth_check_interval_seconds = 1\n", checked(gatewaytest.Provider("p", url)), gatewaytest.Model("m", "failover", "p")))
	down := func(state, reason string) bool {
		return state == "down" && reason == "the health check failed: status 503"
	}
	gatewaytest.Wait(t, "the check has failed", func() bool { p := g.Status(t).Providers[0]; return down(p.State, p.Reason) })
	if response, text := g.Chat(t, "m"); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if b := g.Status(t).Models[0].Backends[0]; !down(b.State, b.Reason) {
		t.Errorf("an answer ended what a check began: %s, %s", b.State, b.Reason)
	}
}
