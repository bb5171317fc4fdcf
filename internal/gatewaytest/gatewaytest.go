// Package gatewaytest runs whole gateways for tests: the real config, stages, strategies and sockets, as main wires them.
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

// Token is that of the user "alice", whom Config defines and who may use everything.
const Token = "berry-alice-0123456789"

// MaxPause is how long a client may pause within its upload: no test waits for the real half minute.
const MaxPause = 5 * time.Second

// A Gateway is one that runs until its test ends or Stop is called.
type Gateway struct {
	URL, AdminURL string // without a slash at the end
	File          string // the config's
	Log           *Log
	Client        *http.Client

	stop func() error
	once sync.Once
	err  error
}

// Config returns a TOML file with the listeners on free ports, alice, and what is added to that.
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

// Provider returns the TOML of a provider at the URL, whose key is "sk-" and its id, and whose health is not checked, so that
// only the test's own requests reach it.
func Provider(id, url string) string {
	return "[providers." + id + "]\nbase_url = \"" + url + "/v1\"\napi_key = \"sk-" + id + "\"\nhealth_check = false\n"
}

// Model returns the TOML of a model with one backend: the model "one" at the provider.
func Model(name, strategy, provider string) string {
	return fmt.Sprintf("[models.%s]\nstrategy = %q\n[[models.%s.backends]]\nprovider = %q\nmodel = \"one\"\n", name, strategy, name, provider)
}

// Known returns the names that a config may use.
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

// StartFiles runs a gateway with the TOML, beside which the files stand.
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

// StartWith runs a gateway with the TOML and a pipeline of the test's own.
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
		g.Client.CloseIdleConnections() // the server waits five seconds for one that was opened and never used
		cancel()
		err := <-served
		running.Wait()
		if err := gw.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
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

// CacheDir returns the folder of compiled strategies that all tests of this machine share.
func CacheDir(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "berry")
}

// Stop ends the gateway as SIGTERM would, and returns when it has ended.
func (g *Gateway) Stop() error {
	g.once.Do(func() { g.err = g.stop() })
	return g.err
}

// Rewrite replaces the config file's text in place and waits until the gateway has dealt with it. It returns the status then.
func (g *Gateway) Rewrite(t testing.TB, toml string) gateway.Status {
	t.Helper()
	if err := os.WriteFile(g.File, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return g.Await(t, toml)
}

// Await waits until the gateway has dealt with the config's text, and returns the status then.
func (g *Gateway) Await(t testing.TB, toml string) gateway.Status {
	t.Helper()
	var s gateway.Status
	Wait(t, "the config is noticed", func() bool {
		s = g.Status(t)
		return s.LastReload.SHA256 == Digest(toml)
	})
	return s
}

// Digest is what the status calls a config with the text by.
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

// Status returns what the status page says.
func (g *Gateway) Status(t testing.TB) gateway.Status {
	t.Helper()
	var s gateway.Status
	if err := json.Unmarshal([]byte(g.Page(t, "/admin/status")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Post sends a request as alice.
func (g *Gateway) Post(t testing.TB, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+Token)
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// Chat asks the model something as alice and returns the answer, read whole.
func (g *Gateway) Chat(t testing.TB, model string) (*http.Response, string) {
	t.Helper()
	return Read(t, g.Post(t, "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"Hi!"}]}`))
}

// Read reads an answer whole.
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

// Serve runs a provider, or anything else that speaks HTTP, until the test ends, and returns its URL.
func Serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// Wait waits until condition holds, and fails the test if that takes so long that it cannot be the machine's fault.
func Wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// A Log is what a gateway wrote to its log. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what has been written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Reset forgets what has been written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Buffer{}
}
