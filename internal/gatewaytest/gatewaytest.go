// Package gatewaytest runs complete gateways in tests, with the real config, stages, strategies and sockets, wired as in the berry command.
package gatewaytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/core/telemetry"
	"github.com/berrygate/berry/plugins"
	"github.com/berrygate/berry/strategies"
)

// Token is the token of the user "alice", whom Config defines with access to every model.
const Token = "berry-alice-0123456789"

// MaxPause is the longest pause of a client within its upload. It is shorter than in production to keep tests fast.
const MaxPause = 5 * time.Second

// A Gateway is a running gateway. It stops when its test ends or Stop is called.
type Gateway struct {
	URL, AdminURL string // without a trailing slash
	File          string // path of the config
	Log           *Log
	Client        *http.Client

	stop func() error
	once sync.Once
	err  error
}

// Config returns a TOML config with listeners on free ports, the user alice and the added text.
func Config(add ...string) string {
	return `
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
debug_headers = true
[users.alice]
token = "` + Token + `"
` + strings.Join(add, "\n")
}

// Provider returns the TOML of a provider at the URL. Its key is "sk-" and the id. It has no health check, so that it receives only the test's
// requests.
func Provider(id, url string) string {
	return "[providers." + id + "]\nbase_url = \"" + url + "/v1\"\napi_key = \"sk-" + id + "\"\nhealth_check = false\n"
}

// Model returns the TOML of a model with one backend: the provider's model "one".
func Model(name, strategy, provider string) string {
	return fmt.Sprintf("[models.%s]\nstrategy = %q\n[[models.%s.backends]]\nprovider = %q\nmodel = \"one\"\n", name, strategy, name, provider)
}

// Known returns the types, stages and strategies that a config may name.
func Known() config.Registry {
	return config.Registry{
		Types: provider.Types(), Stages: plugins.Names(), Optional: plugins.Optional(), Anywhere: plugins.Anywhere(),
		Strategies: strategies.Names(),
	}
}

// Start runs a gateway with the TOML.
func Start(t testing.TB, toml string) *Gateway {
	t.Helper()
	return StartWith(t, toml, plugins.NewBuilder().Build)
}

// StartFiles runs a gateway with the TOML and with the files in the config's folder.
func StartFiles(t testing.TB, toml string, files map[string][]byte) *Gateway {
	t.Helper()
	folder := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startIn(t, folder, toml, plugins.NewBuilder().Build)
}

// StartWith runs a gateway with the TOML and a pipeline that the test builds.
func StartWith(t testing.TB, toml string, build func(names []string, env gateway.StageDeps) (*core.Pipeline, error)) *Gateway {
	t.Helper()
	return startIn(t, t.TempDir(), toml, build)
}

func startIn(t testing.TB, folder, toml string, build func(names []string, env gateway.StageDeps) (*core.Pipeline, error)) *Gateway {
	t.Helper()
	file := filepath.Join(folder, "config.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() config.Loaded { return config.Load(file, nil, Known()) }
	g := &Gateway{File: file, Log: &Log{}, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	ctx, cancel := context.WithCancel(context.Background())
	log := telemetry.NewLogger(g.Log, slog.LevelDebug)
	seen := &telemetry.Telemetry{}
	if err := seen.Start(ctx, telemetry.Options{Service: "berry", Version: "test", Sampling: telemetry.Sampling{Ratio: 1}, Log: log}); err != nil {
		t.Fatal(err)
	}
	gw, err := gateway.New(ctx, load(), gateway.Deps{
		Load: load, Build: build, Builtin: strategies.Module, CacheDir: CacheDir(t),
		Log: log, Meter: seen.Meter(), Tracer: seen.Tracer(), Serving: func(c *config.Config) {
			ratio, set := c.Telemetry.Ratio()
			seen.Sample(telemetry.Sampling{Ratio: ratio, Set: set})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Listen(ctx, gw, server.Options{
		Version: "test", Metrics: seen.Handler(), Tracer: seen.Tracer(), Log: log, MaxPause: MaxPause,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.URL, g.AdminURL = "http://"+s.Addr(), "http://"+s.AdminAddr()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	var running sync.WaitGroup
	running.Go(func() { gw.Run(ctx, nil) })
	g.stop = func() error {
		g.Client.CloseIdleConnections() // the server would wait five seconds for a connection that was never used
		cancel()
		err := <-served
		running.Wait()
		if err := gw.Close(context.Background()); err != nil {
			t.Errorf("close the gateway: %v", err)
		}
		seen.Close(context.Background())
		return err
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.Log)
		}
	})
	return g
}

// CacheDir returns the folder of compiled strategies, which all tests on this machine share.
func CacheDir(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "berry")
}

// Stop shuts the gateway down as SIGTERM does. It returns after the shutdown.
func (g *Gateway) Stop() error {
	g.once.Do(func() { g.err = g.stop() })
	return g.err
}

// Rewrite replaces the text of the config file in place, waits until the gateway has loaded or rejected it, and returns the status.
func (g *Gateway) Rewrite(t testing.TB, toml string) gateway.Status {
	t.Helper()
	if err := os.WriteFile(g.File, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return g.Await(t, toml)
}

// Await waits until the gateway has loaded or rejected the config's text, and returns the status.
func (g *Gateway) Await(t testing.TB, toml string) gateway.Status {
	t.Helper()
	var s gateway.Status
	Wait(t, "the gateway has read the config", func() bool {
		s = g.Status(t)
		return s.LastReload.SHA256 == Digest(toml)
	})
	return s
}

// Digest returns the digest by which the status identifies a config with the text.
func Digest(toml string) string {
	d := sha256.Sum256([]byte(toml))
	return hex.EncodeToString(d[:])
}

// Page returns the text of a page of the admin listener.
func (g *Gateway) Page(t testing.TB, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.AdminURL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return body(t, response)
}

// Status returns the decoded status page.
func (g *Gateway) Status(t testing.TB) gateway.Status {
	t.Helper()
	var s gateway.Status
	if err := json.Unmarshal([]byte(g.Page(t, "/admin/status")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Post sends a POST request as alice.
func (g *Gateway) Post(t testing.TB, path, body string) *http.Response {
	t.Helper()
	return g.Send(t, Token, http.MethodPost, path, body)
}

// Send sends a request as the user with the token.
func (g *Gateway) Send(t testing.TB, token, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// Chat sends the model a chat completion request as alice. It returns the response and its body.
func (g *Gateway) Chat(t testing.TB, model string) (*http.Response, string) {
	t.Helper()
	return Read(t, g.Post(t, "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"Hi!"}]}`))
}

// Read reads and closes a response's body. It returns both.
func Read(t testing.TB, r *http.Response) (*http.Response, string) {
	t.Helper()
	return r, body(t, r)
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Serve runs an HTTP server until the test ends and returns its URL.
func Serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// Wait waits until condition holds. It fails the test after a timeout that is long enough for a slow machine.
func Wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// A Log collects a gateway's log. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns the text written since the start or the last Reset.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Reset discards the text.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Buffer{}
}
