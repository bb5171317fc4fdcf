package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// Marks by which secrets are found again: of the operator's and other users', which nobody is shown, and of what a client itself
// sends where no secret belongs, which the client alone may be shown.
const (
	mark   = "SECRETMARK"
	theirs = "CLIENTMARK"
)

// echoing is a provider that includes the request's key in every response.
func echoing(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + " " + r.Header.Get("X-Tenant")
	message := fmt.Sprintf(`{"error":{"message":"Incorrect API key provided: %s","type":"t","code":"c","param":null}}`, key)
	w.Header().Set("Set-Cookie", "session="+key)
	w.Header().Set("X-Debug", key)
	w.Header().Set("Content-Type", "application/json")
	for _, status := range []int{400, 401, 403, 404, 429, 500, 503} {
		if bytes.Contains(b, fmt.Appendf(nil, `"status-%d"`, status)) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, message)
			return
		}
	}
	switch {
	case bytes.Contains(b, []byte(`"error-in-200"`)):
		_, _ = io.WriteString(w, message)
	case bytes.Contains(b, []byte(`"stream-error"`)):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(20 * time.Millisecond)
		_, _ = fmt.Fprintf(w, "data: %s\n\n", message)
	case bytes.Contains(b, []byte(`"nonsense"`)):
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "%s\r\n\r\n", key)
			_ = conn.Close()
		}
	default:
		_, _ = io.WriteString(w, `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}
}

// secretConfig returns a config with a secret in every possible place.
func secretConfig(url string) string {
	return `
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
admin_token = "admin-` + mark + `-0123456789"
[telemetry]
log_level = "debug"
[settings]
max_retries = 1
failure_threshold = 1000
[users.alice]
token = "user-` + mark + `-0123456789"
[providers.p]
base_url = "` + url + `/v1"
api_key = "sk-` + mark + `-0123456789"
headers = { X-Tenant = "tenant-` + mark + `-0123456789" }
[providers.a]
type = "anthropic"
base_url = "` + url + `/v1"
api_key = "sk-` + mark + `-9876543210"
` + gatewaytest.Model("m", "failover", "p") + gatewaytest.Model("claude", "failover", "a")
}

// No output contains a secret: logs at debug level, traces, metrics, admin pages, error bodies and crash dumps.
func TestNoSecretIsSeen(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(echoing))
	t.Cleanup(s.Close)
	spans := otlptest.New(t)
	file := filepath.Join(t.TempDir(), "config.toml")
	toml := secretConfig(s.URL)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(toml)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	c := exec.Command(binary(t), "serve", "--config", file)
	c.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=200",
		"OTEL_EXPORTER_OTLP_HEADERS=x-collector-key="+mark, "GOTRACEBACK=all")
	c.Stdout, c.Stderr = output, output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{c.Process, output.Name()}
	at := p.wait(t, `"address":"([^"]+)","admin":"([^"]+)"`)

	errorBodies := secretRequests(t, "http://"+at[1])
	for i, broken := range []string{
		strings.Replace(toml, `api_key = "sk-`, `api_key = "sk-`+mark+"\nx = ", 1), // cut off in the middle
		strings.Replace(toml, `api_key = "`, `api_key = 1 # "`, 1),
		strings.Replace(toml, `base_url = "http://`, `base_url = "http://user:`+mark+`@`, 1),
		strings.Replace(toml, `max_retries = 1`, `max_retries = "`+mark+`"`, 1),
		strings.Replace(toml, `[users.alice]`, "[users.bob]\ntoken = \"user-"+mark+"-0123456789\"\n[users.alice]", 1),
		strings.Replace(toml, `api_key = "`, `api_key_file = "no-such-file" # "`, 1),
		strings.Replace(toml, `token = "user-`, `tokne = "user-`, 1),
		strings.Replace(toml, `token = "user-`, mark+"-0123456789\ntoken = \"user-", 1),
		strings.Replace(toml, `token = "user-`, `token = "${APP_TOKEN-`+mark+`}`, 1),
		strings.Replace(toml, `token = "user-`, "token = \"\"\"\nmodel = "+mark+"\"\"\" \"", 1),
		strings.Replace(toml, `token = "user-`, `token = "ü user-`, 1),
	} {
		write(broken)
		gatewaytest.Wait(t, "the config is refused", func() bool { return strings.Count(p.output(t), `"result":"failed"`) == i+1 })
	}
	gatewaytest.Wait(t, "all is exported", func() bool {
		return len(spans.Metrics()) > 10 && strings.Count(otlptest.Tree(spans.Spans()), "POST /v1/chat/completions (server)") >= 12
	})
	pages := adminPages(t, "http://"+at[2])
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // which says that a signal has ended it
	dump := p.output(t)
	if !strings.Contains(dump, "goroutine ") || !strings.Contains(dump, `"msg":"exchange"`) || !strings.Contains(pages, "berry_model_requests_total") {
		t.Fatal("there is no dump, log or page")
	}
	for where, text := range map[string]string{"error bodies": errorBodies, "admin pages": pages, "log and dump": dump, "traces and metrics": string(spans.Raw())} {
		for _, secret := range []string{mark, theirs} {
			if i := strings.Index(text, secret); i >= 0 && (secret == mark || where != "error bodies") {
				t.Errorf("%s: %q", where, text[max(i-300, 0):min(i+100, len(text))])
			}
		}
	}
}

// secretRequests sends secrets wherever a request can have them, and returns what came back with an error.
func secretRequests(t *testing.T, url string) string {
	t.Helper()
	var bodies strings.Builder
	ask := func(method, path, token, body string) {
		r, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		for _, name := range []string{"X-Api-Key", "Cookie", "X-Session-Id", "User-Agent", "Proxy-Authorization", "Openai-Organization", "Baggage"} {
			r.Header.Set(name, "key="+theirs)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b, _ := io.ReadAll(response.Body) // some are cut
		fmt.Fprintf(&bodies, "%v\n%s\n", response.Header, b)
	}
	const chat = "/v1/chat/completions"
	user := "user-" + mark + "-0123456789"
	for _, say := range []string{"hello", "status-400", "status-401", "status-403", "status-404", "status-429", "status-500", "status-503", "error-in-200", "nonsense"} {
		ask("POST", chat+"?api_key="+theirs, user, `{"model":"m","user":"`+theirs+`","api_key":"`+theirs+`","messages":[{"role":"user","content":"`+say+`"},{"role":"user","content":"`+theirs+`"}]}`)
		for _, model := range []string{"m", "claude"} {
			ask("POST", "/v1/messages?api_key="+theirs, user, `{"model":"`+model+`","max_tokens":9,"metadata":{"user_id":"`+theirs+`"},"messages":[{"role":"user","content":"`+say+`"},{"role":"user","content":"`+theirs+`"}]}`)
		}
	}
	for _, model := range []string{"m", "claude"} {
		ask("POST", "/v1/messages", user, `{"model":"`+model+`","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"stream-error"}]}`)
	}
	ask("POST", "/v1/messages/count_tokens", user, `{"model":"claude","messages":[{"role":"user","content":"status-400"}]}`)
	ask("POST", "/v1/messages", "stolen-"+theirs, `{"model":"m"}`)
	ask("POST", chat, user, `{"model":"m","stream":true,"messages":[{"role":"user","content":"stream-error"}]}`)
	ask("POST", chat, user, `{"model":"sk-`+theirs+`"}`)
	ask("POST", chat, user, `{"model":"`+theirs)
	ask("POST", chat, "stolen-"+theirs, `{"model":"m"}`)
	ask("GET", "/v1/models/sk-"+theirs+"?key="+theirs, user, "")
	ask("GET", "/v1/models/sk-"+theirs, "stolen-"+theirs, "")
	ask("GET", "/"+theirs, user, "")
	return bodies.String()
}

// adminPages returns the text of all pages of the admin listener, with the blocks of decisions as they are, and with refusals.
func adminPages(t *testing.T, url string) string {
	t.Helper()
	var pages strings.Builder
	for _, path := range []string{"/metrics", "/admin/status", "/admin/decisions", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1", "/nothing-" + theirs} {
		for _, token := range []string{"admin-" + mark + "-0123456789", "wrong-" + theirs} {
			r, err := http.NewRequest(http.MethodGet, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			pages.Write(b)
		}
	}
	text := pages.String()
	for _, m := range regexp.MustCompile(`"block":("[^"]+")`).FindAllStringSubmatch(text, -1) {
		var block string
		if err := json.Unmarshal([]byte(m[1]), &block); err != nil {
			t.Fatal(err)
		}
		b, err := base64.StdEncoding.DecodeString(block)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	return text
}
