package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/guesttest"
)

// version returns the TOML of a config's i-th version. Weights, strategies, users and providers differ between versions; alice can always use
// the model "m".
func version(i int, providers []string) string {
	strategies := []string{"weighted_random", "round_robin", "least_latency", "failover", "random"}
	var b strings.Builder
	fmt.Fprintf(&b, "[users.guest%d]\ntoken = \"berry-guest-%016d\"\n", i%7, i)
	fmt.Fprintf(&b, "[models.m]\nstrategy = %q\n", strategies[i%len(strategies)])
	for n, url := range providers {
		if n > 0 && i%(n+2) == 0 {
			continue // a provider comes and goes
		}
		fmt.Fprintf(&b, "[[models.m.backends]]\nprovider = \"p%d\"\nmodel = \"one\"\nweight = %d\npriority = %d\n", n, 1+i%3, (n+i)%3)
		b.WriteString(gatewaytest.Provider(fmt.Sprintf("p%d", n), url))
	}
	return gatewaytest.Config(b.String())
}

// A load is a set of clients that send plain and streaming requests in turn until end is called.
type load struct {
	stop            atomic.Bool
	all             sync.WaitGroup
	plain, streamed atomic.Int64
	mu              sync.Mutex
	failures        []string
}

func startLoad(t *testing.T, g *gatewaytest.Gateway, clients int) *load {
	l := &load{}
	for range clients {
		l.all.Go(func() {
			for i := 0; !l.stop.Load(); i++ {
				l.ask(t, g, i%2 == 1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return l
}

func (l *load) ask(t *testing.T, g *gatewaytest.Gateway, stream bool) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v1/chat/completions",
		strings.NewReader(fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"Hi!"}]}`, stream)))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+gatewaytest.Token)
	response, err := g.Client.Do(r)
	if err != nil {
		l.fail(err.Error())
		return
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	whole := !stream || bytes.HasSuffix(b, []byte("data: [DONE]\n\n"))
	if err != nil || response.StatusCode != http.StatusOK || !whole {
		l.fail(fmt.Sprintf("%v %d %s", err, response.StatusCode, b))
		return
	}
	if stream {
		l.streamed.Add(1)
	} else {
		l.plain.Add(1)
	}
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, what)
}

// end stops the clients and fails the test if a request failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.all.Wait()
	t.Logf("%d plain answers, %d streams, %d failures", l.plain.Load(), l.streamed.Load(), len(l.failures))
	if len(l.failures) > 0 {
		t.Errorf("the first failure: %s", l.failures[0])
	}
	if l.plain.Load() == 0 || l.streamed.Load() == 0 {
		t.Error("there was no load")
	}
}

// A footprint is what a process holds: goroutines and open files by number, compiled guests and the heap in KiB.
type footprint struct{ goroutines, files, code, heap int }

// settle waits until what was retired is closed, and what is garbage is collected and given back.
func settle(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	gatewaytest.Wait(t, "retired configs are closed", func() bool { return g.Status(t).Config.Draining == 0 })
	for range 20 { // connections take a moment to close, finalizers a collection to run
		g.Client.CloseIdleConnections()
		debug.FreeOSMemory()
		time.Sleep(50 * time.Millisecond)
	}
}

// measure returns the footprint of this process when its gateway has come to rest: on a config whose provider nobody has
// called, so that all others' connections should be gone.
func measure(t *testing.T, g *gatewaytest.Gateway) footprint {
	t.Helper()
	rest := gatewaytest.Config(gatewaytest.Provider("rest", "http://127.0.0.1:9"), gatewaytest.Model("m", "failover", "rest"))
	g.Rewrite(t, rest)
	g.Log.Reset()
	settle(t, g)
	var f footprint
	f.goroutines = runtime.NumGoroutine()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc to count open files in")
	}
	f.files = len(files)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if fields := strings.Fields(line); len(fields) == 5 && strings.Contains(fields[1], "x") { // compiled guests have no file
			var from, to int
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
				t.Fatal(err)
			}
			f.code += (to - from) >> 10
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap = int(m.HeapAlloc >> 10)
	return f
}

// The config is rewritten under load, in place and in two pieces, a broken version every tenth time. No client notices, and
// nothing is left behind. (BERRY_SOAK=1 does it 200 times.)
func TestRewritesUnderLoad(t *testing.T) {
	rewrites := 10
	if soaking() {
		rewrites = 200
	}
	var providers []string
	for i := range 3 {
		providers = append(providers, gatewaytest.Serve(t, &fakeprovider.Provider{Name: fmt.Sprint(i), TokenDelay: 5 * time.Millisecond}))
	}
	g := gatewaytest.Start(t, version(0, providers))
	for i := range 6 { // every strategy and provider has been here before
		g.Rewrite(t, version(i, providers))
	}
	warm := startLoad(t, g, 64)
	time.Sleep(500 * time.Millisecond)
	warm.end(t)
	before := measure(t, g)
	served := g.Rewrite(t, version(0, providers)).Config.SHA256
	clients := startLoad(t, g, 64)
	for i := range rewrites {
		toml, result := version(i+1, providers), gateway.Applied
		if i%10 == 9 {
			toml, result = strings.Replace(toml, "strategy = ", "strategie = ", 1), gateway.Failed
		}
		rewriteSlowly(t, g.File, toml)
		s := g.Await(t, toml)
		if s.LastReload.Result != result {
			t.Fatalf("version %d: %+v", i, s.LastReload)
		}
		if result == gateway.Applied {
			served = gatewaytest.Digest(toml)
		}
		if s.Config.SHA256 != served {
			t.Fatalf("version %d: %s is served, not %s", i, s.Config.SHA256, served)
		}
	}
	clients.end(t)
	after := measure(t, g)
	logged := int(clients.plain.Load()+clients.streamed.Load()) / 4 // KiB: the fake providers keep a line about each request
	t.Logf("before %+v\nafter  %+v", before, after)
	if after.goroutines > before.goroutines+5 || after.files > before.files+5 || after.code > before.code || after.heap > before.heap*5/4+logged {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
}

// rewriteSlowly writes the file in place, in two parts with a pause between them.
func rewriteSlowly(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
		if _, err := f.WriteString(half); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// whole is a config that names a module, a key file and a provider.
func whole(url string) string {
	return gatewaytest.Config(`
[strategies.mine]
path = "mine.wasm"
[providers.p]
base_url = "`+url+`/v1"
api_key_file = "p.key"
health_check = false
`, gatewaytest.Model("m", "mine", "p"))
}

// However the config or a file that it names goes bad, the config before it serves on, one line in the log says what is wrong,
// and so does the status. When it is mended, that is noticed too.
func TestBadFiles(t *testing.T) {
	remove := func(name string) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) { must(t, os.Remove(filepath.Join(folder, name))) }
	}
	write := func(name string, text []byte) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) { // at once, or the gateway may well read what is half written, and say so
			whole := filepath.Join(t.TempDir(), name)
			must(t, os.WriteFile(whole, text, 0o600))
			must(t, os.Rename(whole, filepath.Join(folder, name)))
		}
	}
	text, guest := whole("http://127.0.0.1:9"), guesttest.Go(t, "./testdata/odd")
	for name, test := range map[string]struct {
		spoil func(t *testing.T, folder string)
		want  string // of the log
	}{
		"half written": {write("config.toml", []byte(text[:strings.Index(text, "base_url")+5])), "config.toml:[0-9]+:[0-9]+: there is no = in this line"},
		"empty":        {write("config.toml", nil), "config.toml is empty"},
		"deleted":      {remove("config.toml"), "there is no .*config.toml"},
		"a directory": {func(t *testing.T, folder string) {
			remove("config.toml")(t, folder)
			must(t, os.Mkdir(filepath.Join(folder, "config.toml"), 0o700))
		}, "is a directory"},
		"a dangling link": {func(t *testing.T, folder string) {
			remove("config.toml")(t, folder)
			must(t, os.Symlink("nowhere", filepath.Join(folder, "config.toml")))
		}, "there is no .*config.toml"},
		"100 MB": {func(t *testing.T, folder string) {
			must(t, os.Truncate(filepath.Join(folder, "config.toml"), 100<<20))
		}, "is larger than"},
		"unreadable": {func(t *testing.T, folder string) {
			if os.Getuid() == 0 {
				t.Skip("root may read everything")
			}
			must(t, os.Chmod(filepath.Join(folder, "config.toml"), 0))
		}, "may not be read by this user"},
		"a module that is text":        {write("mine.wasm", []byte("This is no WebAssembly.")), "wasm: compile mine: not a strategy: malformed or unsupported WebAssembly"},
		"a module of nothing":          {write("mine.wasm", []byte("\x00asm\x01\x00\x00\x00")), "wasm: compile mine: not a strategy: it exports no memory"},
		"a module that is gone":        {remove("mine.wasm"), "strategies.mine.path: open .*mine.wasm: no such file"},
		"a config that it refuses":     {write("config.toml", []byte(text+"[strategies.mine.config]\nrefuse = true\n")), "wasm: load mine: refuses its config: as asked"},
		"a pin that it does not match": {write("config.toml", []byte(strings.Replace(text, "path =", "sha256 = \""+strings.Repeat("0", 64)+"\"\npath =", 1))), "strategies.mine.sha256: .* not the one that is pinned"},
		"a key that is gone":           {remove("p.key"), "providers.p.api_key_file: open .*p.key: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &fakeprovider.Provider{Key: "sk-p"}
			g := gatewaytest.StartFiles(t, whole(gatewaytest.Serve(t, p)), map[string][]byte{"mine.wasm": guest, "p.key": []byte("sk-p")})
			folder := filepath.Dir(g.File)
			served := g.Status(t).Config.SHA256

			test.spoil(t, folder)
			gatewaytest.Wait(t, "it is noticed", func() bool { return g.Status(t).LastReload.Result == gateway.Failed })
			time.Sleep(300 * time.Millisecond) // in which nothing more is said about it
			lines := regexp.MustCompile(`"level":"ERROR","msg":"reload".*`).FindAllString(g.Log.String(), -1)
			if len(lines) != 1 || !regexp.MustCompile(test.want).MatchString(lines[0]) {
				t.Errorf("the log says %q, want %q", lines, test.want)
			}
			s := g.Status(t)
			if s.Config.SHA256 != served || !regexp.MustCompile(test.want).MatchString(strings.Join(s.LastReload.Errors, "\n")) {
				t.Errorf("the status says %+v", s.LastReload)
			}
			if response, text := g.Chat(t, "m"); response.StatusCode != http.StatusOK {
				t.Errorf("%d %s", response.StatusCode, text)
			}

			must(t, os.RemoveAll(g.File))
			write("mine.wasm", guest)(t, folder)
			write("p.key", []byte("sk-p"))(t, folder)
			write("config.toml", []byte(whole(gatewaytest.Serve(t, p))))(t, folder)
			gatewaytest.Wait(t, "it is mended", func() bool { return g.Status(t).LastReload.Result == gateway.Applied })
		})
	}
}

// A file that has lost users or models, which one that is half written may be, too, serves only when it has been left alone for a while;
// who asks for a reload gets it at once.
func TestShrinkingFileIsLookedAtTwice(t *testing.T) {
	more := "[users.bob]\ntoken = \"berry-bob-0123456789\"\n" + gatewaytest.Model("second", "failover", "p")
	less := gatewaytest.Config(gatewaytest.Provider("p", "http://127.0.0.1:9"), gatewaytest.Model("m", "failover", "p"))
	g := gatewaytest.Start(t, less+more)
	applied := func(toml string) bool {
		return strings.Contains(g.Log.String(), `"result":"applied","cause":"file","config_sha256":"`+gatewaytest.Digest(toml))
	}
	began := time.Now()
	must(t, os.WriteFile(g.File, []byte(less), 0o600)) // half of what follows
	time.Sleep(config.Settle / 2)
	must(t, os.WriteFile(g.File, []byte(less+more+"# more\n"), 0o600))
	late := time.Since(began) >= config.Settle // on a busy machine: then half was left alone for long enough
	g.Await(t, less+more+"# more\n")
	if applied(less) && !late {
		t.Errorf("half a file serves:\n%s", g.Log)
	}
	g.Rewrite(t, less)
	if !applied(less) {
		t.Errorf("the smaller file does not serve:\n%s", g.Log)
	}
	g.Rewrite(t, less+more)
	must(t, os.WriteFile(g.File, []byte(less), 0o600))
	if got := reload(t, g); !strings.Contains(got, `"result": "applied"`) {
		t.Error(got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reload requests a reload from the admin listener and returns the response.
func reload(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	response, err := g.Client.Post(g.AdminURL+"/admin/reload", "", nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	_, text := gatewaytest.Read(t, response)
	return text
}

// Whoever asks by hand gets the result, also of a config that did not change; reloads take place one after the other.
func TestReloadByHand(t *testing.T) {
	toml := gatewaytest.Config(gatewaytest.Provider("p", "http://127.0.0.1:9"), gatewaytest.Model("m", "failover", "p"))
	g := gatewaytest.Start(t, toml)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if got := reload(t, g); !strings.Contains(got, `"result": "unchanged"`) {
				t.Error(got)
			}
		})
	}
	both.Wait()
	s := g.Rewrite(t, strings.Replace(toml, "listen = ", "listn = ", 1))
	if got := strings.Join(s.LastReload.Errors, "\n"); !regexp.MustCompile(`^/.*/config.toml:\d+:1: server.listn: no key "listn"; did you mean "listen"\?$`).MatchString(got) {
		t.Error(got)
	}
	if got := reload(t, g); !strings.Contains(got, `"result": "failed"`) || !strings.Contains(got, `did you mean \"listen\"?`) {
		t.Error(got)
	}
	s = g.Rewrite(t, strings.Replace(toml, `listen = "127.0.0.1:0"`, `listen = "127.0.0.1:1"`, 1))
	if got := s.LastReload; got.Result != gateway.Applied || !slices.Equal(got.NeedsRestart, []string{"server.listen"}) {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(g.Log.String(), `"needs_restart":"server.listen"`) {
		t.Error("the log does not say that a restart is needed")
	}
	if page := g.Page(t, "/metrics"); !strings.Contains(page, `berry_config_reloads_total{cause="admin",result="failed"} 1`) {
		t.Error("the failed reload was not counted")
	}
}

// A stream completes although a reload has removed its provider; then the provider's connections are closed. (BERRY_SOAK=1 streams for more than
// a minute.)
func TestStreamOutlivesItsProvider(t *testing.T) {
	delay := 200 * time.Millisecond
	if soaking() {
		delay = 9 * time.Second
	}
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(&fakeprovider.Provider{Name: "old", TokenDelay: delay}) // ten events and more
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	without := gatewaytest.Config(gatewaytest.Provider("new", gatewaytest.Serve(t, &fakeprovider.Provider{Name: "new"})), gatewaytest.Model("m", "failover", "new"))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("old", s.URL), gatewaytest.Model("m", "failover", "old")))

	stream := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi!"}]}`)
	began := time.Now()
	g.Rewrite(t, without)
	if response, text := g.Chat(t, "m"); response.Header.Get("X-Berry-Provider") != "new" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if n := g.Status(t).Config.Draining; n != 1 {
		t.Errorf("%d configs are draining", n)
	}
	if _, text := gatewaytest.Read(t, stream); !strings.HasSuffix(text, "data: [DONE]\n\n") || strings.Count(text, "data: ") < 10 {
		t.Errorf("the stream: %s", text)
	}
	t.Logf("the stream went on for %v after the reload", time.Since(began))
	gatewaytest.Wait(t, "the old config is closed", func() bool { return g.Status(t).Config.Draining == 0 })
	gatewaytest.Wait(t, "the old provider's connections are closed", func() bool { return connections.Load() == 0 })
}

// A removed user is rejected. During the rotation of a token both the old and the new one are valid.
func TestUsersChange(t *testing.T) {
	model := gatewaytest.Provider("p", gatewaytest.Serve(t, &fakeprovider.Provider{})) + gatewaytest.Model("m", "failover", "p")
	user := func(keys string) string { return gatewaytest.Config(model, "[users.bob]\n"+keys) }
	old, next := "berry-bob-old-0123456789", "berry-bob-new-0123456789"
	g := gatewaytest.Start(t, user("token = \""+old+"\""))
	status := func(token string) int {
		response, _ := gatewaytest.Read(t, g.Send(t, token, http.MethodGet, "/v1/models", ""))
		return response.StatusCode
	}
	for _, step := range []struct {
		keys      string
		old, next int
	}{
		{"token = \"" + old + "\"", 200, 401},
		{"token = \"" + next + "\"\ntoken_sha256 = \"" + gatewaytest.Digest(old) + "\"", 200, 200},
		{"token_sha256 = \"" + gatewaytest.Digest(next) + "\"", 401, 200},
	} {
		g.Rewrite(t, user(step.keys))
		if o, n := status(old), status(next); o != step.old || n != step.next {
			t.Errorf("%s: the old token gets %d, the new one %d", step.keys, o, n)
		}
	}
	removed := time.Now()
	g.Rewrite(t, gatewaytest.Config(model))
	gatewaytest.Wait(t, "bob is refused", func() bool { return status(next) == 401 })
	t.Logf("refused %v after the file was written", time.Since(removed))
}
