package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A stage is a plugin that calls the function.
type stage func(ctx context.Context, x *core.Exchange) error

func (s stage) Handle(ctx context.Context, x *core.Exchange) error { return s(ctx, x) }

// A witness is a stage that records the outcomes that it observes.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (*witness) Handle(context.Context, *core.Exchange) error { return nil }

func (w *witness) Observe(_ context.Context, x *core.Exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprint(x.Outcome.Status, " ", x.Outcome.Name(), " ", x.Outcome.Stage))
}

// However a stage ends the run, the client receives an error without internal details, and observers are called once.
func TestPipelineErrors(t *testing.T) {
	for name, test := range map[string]struct {
		stage  stage
		status int
		code   string
		seen   string
	}{
		"refusal": {func(context.Context, *core.Exchange) error {
			return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "no")
		}, 400, "invalid_json", "400 refused odd"},
		"wrapped": {func(context.Context, *core.Exchange) error {
			return fmt.Errorf("odd: %w", apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "no"))
		}, 400, "invalid_json", "400 refused odd"},
		"unknown error": {func(context.Context, *core.Exchange) error {
			return errors.New("disk on fire")
		}, 500, "internal_error", "500 failed odd"},
		"panic": {func(context.Context, *core.Exchange) error {
			panic("disk on fire")
		}, 500, "internal_error", "500 failed odd"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{}
			g := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.StageDeps) (*core.Pipeline, error) {
				return core.NewPipeline(core.Stage{Name: "odd", Plugin: test.stage}, core.Stage{Name: "witness", Plugin: w}), nil
			})
			response, text := g.Chat(t, "m")
			var e envelope
			if err := json.Unmarshal([]byte(text), &e); err != nil || response.StatusCode != test.status || e.Error.Code != test.code {
				t.Errorf("%d %s, %v", response.StatusCode, text, err)
			}
			if strings.Contains(text, "fire") {
				t.Errorf("the response contains internal details: %s", text)
			}
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			if fmt.Sprint(w.seen) != "["+test.seen+"]" {
				t.Errorf("observed %q, want %q", w.seen, test.seen)
			}
			if test.status == 500 && !strings.Contains(g.Log.String(), "disk on fire") {
				t.Error("the log does not contain the error")
			}
		})
	}
}

// A panic after the commit aborts the connection, so that the client detects the truncated response.
func TestPanicAfterCommit(t *testing.T) {
	g := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.StageDeps) (*core.Pipeline, error) {
		return core.NewPipeline(core.Stage{Name: "odd", Plugin: stage(func(_ context.Context, x *core.Exchange) error {
			x.Committed, x.Status = true, http.StatusOK
			_, _ = io.WriteString(x.Writer, "half")
			_ = http.NewResponseController(x.Writer).Flush()
			panic("disk on fire")
		})}), nil
	})
	response := g.Post(t, "/v1/chat/completions", "{}")
	defer response.Body.Close()
	if b, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got %q and a clean end, want a truncated response", b)
	}
}

// An exchange that exceeds the shutdown grace period ends with an error: an event in a stream, otherwise an error response. Neither affects the
// provider's health.
func TestShutdownGracePeriod(t *testing.T) {
	provider := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "true") {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", provider), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nshutdown_grace_seconds = 0\n", 1))
	stream := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	type answer struct {
		status int
		text   string
	}
	plain := make(chan answer)
	go func() {
		response, text := g.Chat(t, "m")
		plain <- answer{response.StatusCode, text}
	}()
	gatewaytest.Wait(t, "both are under way", func() bool { return g.Status(t).Providers[0].InFlight == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	if a := <-plain; a.status != 503 || !strings.Contains(a.text, `"shutting_down"`) {
		t.Errorf("%+v", a)
	}
	if _, text := gatewaytest.Read(t, stream); !strings.Contains(text, `"shutting_down"`) || strings.Contains(text, "[DONE]") {
		t.Errorf("%q", text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if log := g.Log.String(); strings.Contains(log, "cooling") || strings.Contains(log, "cut") {
		t.Error(log)
	}
}

// With a shutdown delay, /ready fails while the listener is still open, so that load balancers can react.
func TestReadyFailsBeforeShutdown(t *testing.T) {
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(), "[server]\n", "[server]\nshutdown_delay_seconds = 1\n", 1))
	ready := func() int {
		response, err := g.Client.Get(g.URL + "/ready")
		if err != nil {
			return 0
		}
		gatewaytest.Read(t, response)
		return response.StatusCode
	}
	if status := ready(); status != 200 {
		t.Errorf("got /ready status %d before the shutdown", status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	said := 0
	gatewaytest.Wait(t, "/ready says no, or the listener is closed", func() bool { said = ready(); return said != 200 })
	if said != 503 {
		t.Error("the listener closed before /ready failed")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Requests above the gateway's or a provider's concurrency limit fail at once and do not affect the requests in flight.
func TestTooManyInFlight(t *testing.T) {
	for name, test := range map[string]struct{ toml, code string }{
		"of the gateway":   {"max_in_flight = 2", "overloaded"},
		"of the providers": {"", "no_backend_available"},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			held := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				<-release
				_, _ = io.WriteString(w, `{"choices":[]}`)
			}))
			one := func(id string) string { return gatewaytest.Provider(id, held) + "max_in_flight = 1\n" }
			toml := gatewaytest.Config(one("a"), one("b"), gatewaytest.Model("m", "failover", "a")+"[[models.m.backends]]\nprovider = \"b\"\nmodel = \"one\"\n")
			g := gatewaytest.Start(t, strings.Replace(toml, "[server]\n", "[server]\n"+test.toml+"\n", 1))
			statuses := make(chan int, 2)
			for range 2 {
				go func() {
					response, _ := g.Chat(t, "m")
					statuses <- response.StatusCode
				}()
			}
			gatewaytest.Wait(t, "each provider has one", func() bool {
				s := g.Status(t)
				return s.Providers[0].InFlight == 1 && s.Providers[1].InFlight == 1
			})
			response, text := g.Chat(t, "m")
			if response.StatusCode != 503 || !strings.Contains(text, test.code) || response.Header.Get("Retry-After") != "1" {
				t.Errorf("%d %s, Retry-After %q", response.StatusCode, text, response.Header.Get("Retry-After"))
			}
			close(release)
			for range 2 {
				if status := <-statuses; status != 200 {
					t.Errorf("request in flight: got status %d", status)
				}
			}
			if response, text := g.Chat(t, "m"); response.StatusCode != 200 {
				t.Errorf("afterwards: got %d %s", response.StatusCode, text)
			}
		})
	}
}
