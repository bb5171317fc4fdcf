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
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A stage does what its function does.
type stage func(ctx context.Context, x *core.Exchange) error

func (s stage) Handle(ctx context.Context, x *core.Exchange) error { return s(ctx, x) }

// witness is a stage that keeps the outcomes it was told.
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

// However a stage ends the walk, the client gets an envelope that hides what is not its business, and observers are told once.
func TestHowTheWalkEnds(t *testing.T) {
	for name, test := range map[string]struct {
		stage  stage
		status int
		code   string
		seen   string
	}{
		"refusal": {func(context.Context, *core.Exchange) error {
			return core.Invalid(http.StatusBadRequest, core.CodeInvalidJSON, "", "no")
		}, 400, "invalid_json", "400 refused odd"},
		"wrapped": {func(context.Context, *core.Exchange) error {
			return fmt.Errorf("odd: %w", core.Invalid(http.StatusBadRequest, core.CodeInvalidJSON, "", "no"))
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
			g := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.Env) (*core.Pipeline, error) {
				return core.NewPipeline(core.Stage{Name: "odd", Plugin: test.stage}, core.Stage{Name: "witness", Plugin: w}), nil
			})
			response, text := g.Chat(t, "m")
			var e envelope
			if err := json.Unmarshal([]byte(text), &e); err != nil || response.StatusCode != test.status || e.Error.Code != test.code {
				t.Errorf("%d %s, %v", response.StatusCode, text, err)
			}
			if strings.Contains(text, "fire") {
				t.Errorf("the client is told of a bug: %s", text)
			}
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			if fmt.Sprint(w.seen) != "["+test.seen+"]" {
				t.Errorf("observed %q, want %q", w.seen, test.seen)
			}
			if test.status == 500 && !strings.Contains(g.Log.String(), "disk on fire") {
				t.Error("the log does not say what happened")
			}
		})
	}
}

// A panic after the beginning of an answer closes the connection: the client must not take what it got for whole.
func TestPanicInTheMiddle(t *testing.T) {
	g := gatewaytest.StartWith(t, gatewaytest.Config(), func([]string, gateway.Env) (*core.Pipeline, error) {
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
		t.Errorf("%q and a clean end", b)
	}
}

// What has not ended within the grace time is cut, and nothing of it is left.
func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	provider := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[]}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", provider), gatewaytest.Model("m", "failover", "p")), "[server]\n", "[server]\nshutdown_grace_seconds = 0\n", 1))
	response := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	defer response.Body.Close()
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(response.Body); err == nil || strings.Contains(string(b), "[DONE]") {
		t.Errorf("%q, %v", b, err)
	}
}
