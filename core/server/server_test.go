package server_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer returns a gateway with every kind of user and model.
func newServer(t *testing.T, provider http.Handler) *gatewaytest.Gateway {
	return gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), `
[users.bob]
token = "berry-bob-0123456789abc"
allowed_models = ["fast", "org/open-model"]
[users.gone]
token = "berry-gone-0123456789abc"
enabled = false
[models.smart]
strategy = "failover"
[[models.smart.backends]]
provider = "p"
model = "big"
[models.fast]
strategy = "failover"
[[models.fast.backends]]
provider = "p"
model = "small"
[models.open]
name = "org/open-model"
strategy = "failover"
[[models.open.backends]]
provider = "p"
model = "open"
[models.retired]
strategy = "failover"
enabled = false
[[models.retired.backends]]
provider = "p"
model = "old"
[models.idle]
strategy = "failover"
[[models.idle.backends]]
provider = "p"
model = "small"
enabled = false
`), "[server]\n", "[server]\nmax_body_bytes = 1000\n", 1))
}

func fake() *fakeprovider.Provider { return &fakeprovider.Provider{Name: "p", Key: "sk-p"} }

// envelope is an error response in OpenAI's format.
type envelope struct {
	Error struct {
		Message string
		Type    string
		Param   any
		Code    any
	}
}

// Each kind of invalid request receives its status and code in OpenAI's format, with advice.
func TestBadInput(t *testing.T) {
	provider := fake()
	g := newServer(t, provider)
	const chat = "/v1/chat/completions"
	alice, bob := "Bearer "+gatewaytest.Token, "Bearer berry-bob-0123456789abc"
	for name, test := range map[string]struct {
		method, path, auth, body string
		status                   int
		kind, code               string
	}{
		"no body":               {"POST", chat, alice, "", 400, "invalid_request_error", "invalid_json"},
		"broken JSON":           {"POST", chat, alice, `{"model":"smart"`, 400, "invalid_request_error", "invalid_json"},
		"two objects":           {"POST", chat, alice, `{"model":"smart"}{}`, 400, "invalid_request_error", "invalid_json"},
		"no object":             {"POST", chat, alice, `["smart"]`, 400, "invalid_request_error", "invalid_json"},
		"a string":              {"POST", chat, alice, `"smart"`, 400, "invalid_request_error", "invalid_json"},
		"no model":              {"POST", chat, alice, `{"messages":[]}`, 400, "invalid_request_error", "missing_model"},
		"empty model":           {"POST", chat, alice, `{"model":""}`, 400, "invalid_request_error", "missing_model"},
		"model of another case": {"POST", chat, alice, `{"Model":"smart"}`, 400, "invalid_request_error", "missing_model"},
		"model a number":        {"POST", chat, alice, `{"model":7}`, 400, "invalid_request_error", "invalid_model"},
		"model null":            {"POST", chat, alice, `{"model":null}`, 400, "invalid_request_error", "invalid_model"},
		"two models":            {"POST", chat, bob, `{"model":"fast","model":"smart"}`, 400, "invalid_request_error", "invalid_model"},
		"two by an escape":      {"POST", chat, bob, `{"model":"fast","mod\u0065l":"smart"}`, 400, "invalid_request_error", "invalid_model"},
		"two by case":           {"POST", chat, bob, `{"model":"fast","Model":"smart"}`, 400, "invalid_request_error", "invalid_model"},
		"body over the limit":   {"POST", chat, alice, `{"model":"smart","x":"` + strings.Repeat("x", 1000) + `"}`, 413, "invalid_request_error", "request_too_large"},
		"unknown route":         {"POST", "/v1/nothing", alice, `{}`, 404, "invalid_request_error", "not_found"},
		"root":                  {"GET", "/", alice, ``, 404, "invalid_request_error", "not_found"},
		"wrong method":          {"GET", chat, alice, ``, 405, "invalid_request_error", "method_not_allowed"},
		"no token":              {"POST", chat, "", `{"model":"smart"}`, 401, "invalid_request_error", "missing_api_key"},
		"basic authorization":   {"POST", chat, "Basic YTpi", `{"model":"smart"}`, 401, "invalid_request_error", "missing_api_key"},
		"bearer of nothing":     {"POST", chat, "Bearer ", `{"model":"smart"}`, 401, "invalid_request_error", "missing_api_key"},
		"bearer of two":         {"POST", chat, "Bearer a b", `{"model":"smart"}`, 401, "invalid_request_error", "missing_api_key"},
		"unknown token":         {"POST", chat, "Bearer berry-nobody", `{"model":"smart"}`, 401, "invalid_request_error", "invalid_api_key"},
		"disabled user":         {"POST", chat, "Bearer berry-gone-0123456789abc", `{"model":"smart"}`, 401, "invalid_request_error", "account_deactivated"},
		"unknown before body":   {"POST", chat, "Bearer berry-nobody", `no JSON`, 401, "invalid_request_error", "invalid_api_key"},
		"another's model":       {"POST", chat, bob, `{"model":"smart"}`, 403, "invalid_request_error", "model_not_allowed"},
		"unknown model":         {"POST", chat, bob, `{"model":"none"}`, 404, "invalid_request_error", "model_not_found"},
		"disabled model":        {"POST", chat, alice, `{"model":"retired"}`, 404, "invalid_request_error", "model_not_found"},
		"no backend":            {"POST", chat, alice, `{"model":"idle"}`, 503, "server_error", "no_backend_available"},
		"list without token":    {"GET", "/v1/models", "", ``, 401, "invalid_request_error", "missing_api_key"},
		"another's model by id": {"GET", "/v1/models/smart", bob, ``, 404, "invalid_request_error", "model_not_found"},
	} {
		for _, how := range []string{"with length", "chunked"} {
			t.Run(name+" "+how, func(t *testing.T) {
				var body io.Reader = strings.NewReader(test.body)
				if how == "chunked" {
					body = io.MultiReader(body) // hides the length from net/http
				}
				r, err := http.NewRequest(test.method, g.URL+test.path, body)
				if err != nil {
					t.Fatal(err)
				}
				if test.auth != "" {
					r.Header.Set("Authorization", test.auth)
				}
				response, err := g.Client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, text := gatewaytest.Read(t, response)
				var e envelope
				if err := json.Unmarshal([]byte(text), &e); err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				if response.StatusCode != test.status || e.Error.Type != test.kind || e.Error.Code != test.code || len(e.Error.Message) < 20 {
					t.Errorf("%d %s; want %d %s %s", response.StatusCode, text, test.status, test.kind, test.code)
				}
			})
		}
	}
	if n := provider.Served() + provider.Failed(); n != 0 {
		t.Errorf("the provider received %d invalid requests, want 0", n)
	}
}

func TestModelsListsPermittedModels(t *testing.T) {
	g := newServer(t, fake())
	get := func(path, token string) (int, string) {
		response, text := gatewaytest.Read(t, g.Send(t, token, http.MethodGet, path, ""))
		return response.StatusCode, text
	}
	ids := func(token string) string {
		_, text := get("/v1/models", token)
		var list struct{ Data []struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		out := []string{}
		for _, m := range list.Data {
			out = append(out, m.ID)
		}
		return strings.Join(out, " ")
	}
	if got := ids(gatewaytest.Token); got != "fast idle org/open-model smart" {
		t.Errorf("alice: got models %q", got)
	}
	if got := ids("berry-bob-0123456789abc"); got != "fast org/open-model" {
		t.Errorf("bob: got models %q", got)
	}
	for _, path := range []string{"/v1/models/fast", "/v1/models/org/open-model", "/v1/models/org%2Fopen-model"} {
		if status, text := get(path, "berry-bob-0123456789abc"); status != 200 || !strings.Contains(text, `"object":"model"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// The audit line identifies a rejected token by a prefix of its digest. The log contains no tokens and no keys.
func TestAuditWithoutSecrets(t *testing.T) {
	g := newServer(t, fake())
	r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"smart"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer berry-guessed-token")
	response, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	gatewaytest.Read(t, response)
	g.Chat(t, "smart")
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	log := g.Log.String()
	if !strings.Contains(log, `"authentication refused"`) || !strings.Contains(log, `"token_fingerprint":"`) || !strings.Contains(log, `"code":"invalid_api_key"`) {
		t.Errorf("no audit line in %s", log)
	}
	for _, secret := range []string{"berry-guessed-token", gatewaytest.Token, "sk-p"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
}

// A rejected token writes one log line, and the lines per address and minute are limited.
func TestRejectedTokensLogLimit(t *testing.T) {
	g := newServer(t, fake())
	refused := func() {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer berry-guessed-token")
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if gatewaytest.Read(t, response); response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%d", response.StatusCode)
		}
	}
	g.Log.Reset()
	refused()
	if n := strings.Count(g.Log.String(), "\n"); n != 1 {
		t.Errorf("one rejection wrote %d lines, want 1: %s", n, g.Log.String())
	}
	for range 300 {
		refused()
	}
	if n := strings.Count(g.Log.String(), "\n"); n < 20 || n > 100 {
		t.Errorf("301 rejections wrote %d lines, want about 30", n)
	}
}

func TestHealthReadyAndAdmin(t *testing.T) {
	g := newServer(t, fake())
	g.Chat(t, "smart")
	for url, want := range map[string]string{
		g.URL + "/health":            `{"models":{"servable":3,"total":4},"status":"degraded"}`,
		g.URL + "/ready":             `{"status":"ready"}`,
		g.AdminURL + "/metrics":      `berry_model_requests_total{berry_model="smart",outcome="ok",status="200"} 1`,
		g.AdminURL + "/admin/status": `"state": "healthy"`,
		g.AdminURL + "/debug/pprof/": `goroutine`,
	} {
		response, err := g.Client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if _, text := gatewaytest.Read(t, response); response.StatusCode != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", url, response.StatusCode, text)
		}
	}
}

func TestAdminToken(t *testing.T) {
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(), "[server]\n", "[server]\nadmin_token = \"berry-operator\"\n", 1))
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer berry-operator": 200} {
		r, err := http.NewRequest(http.MethodGet, g.AdminURL+"/admin/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if gatewaytest.Read(t, response); response.StatusCode != want {
			t.Errorf("%q: %d, want %d", token, response.StatusCode, want)
		}
	}
}

// Metrics count every exchange, also rejected ones, by model, user and backend.
func TestMetricsCountEveryExchange(t *testing.T) {
	provider := fake()
	provider.FailEvery = 2
	g := newServer(t, provider)
	g.Chat(t, "smart")
	g.Chat(t, "smart") // 500, then a retry
	g.Chat(t, "none")
	response, err := g.Client.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"smart"}`))
	if err != nil {
		t.Fatal(err)
	}
	gatewaytest.Read(t, response)
	page, err := g.Client.Get(g.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, text := gatewaytest.Read(t, page)
	for _, want := range []string{
		`berry_model_requests_total{berry_model="smart",outcome="ok",status="200"} 2`,
		`berry_model_requests_total{berry_model="(unknown)",outcome="refused",status="404"} 1`,
		`berry_user_requests_total{berry_user="alice",outcome="ok",status="200"} 2`,
		`berry_user_requests_total{berry_user="(unknown)",outcome="refused",status="401"} 1`,
		`berry_backend_attempts_total{berry_provider="p",berry_provider_model="big",result="ok"} 2`,
		`berry_backend_attempts_total{berry_provider="p",berry_provider_model="big",result="server_error"} 1`,
		`berry_model_duration_seconds_count{berry_model="smart",outcome="ok"} 2`,
		`gen_ai_client_token_usage_sum{berry_provider="p",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="big",gen_ai_token_type="input"} 2`,
		`gen_ai_client_operation_duration_seconds_count{berry_provider="p",error_type="server_error",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="big"} 1`,
		`berry_stage_duration_seconds_count{berry_stage="auth",outcome="failed"} 1`,
		`berry_strategy_fuel_count{berry_strategy="`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A graceful shutdown completes open streams and accepts no new connections.
func TestGracefulShutdown(t *testing.T) {
	release := make(chan struct{})
	g := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	stream := g.Post(t, "/v1/chat/completions", `{"model":"smart","stream":true}`)
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	address := strings.TrimPrefix(g.URL, "http://")
	gatewaytest.Wait(t, "the listener is closed", func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %q, error %v", rest, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// rawRequest writes the bytes, closes the sending side if halfClose is set, and returns everything that the gateway sends; "" if it closes the
// connection without a response.
func rawRequest(t *testing.T, g *gatewaytest.Gateway, bytes string, halfClose bool) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, bytes)
	if tcp, ok := c.(*net.TCPConn); ok && halfClose {
		if err := tcp.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	line, _, _ := strings.Cut(string(b), "\r\n")
	return line
}

// Missing and malformed bodies never receive 200.
func TestBrokenUploads(t *testing.T) {
	g := newServer(t, fake())
	const chat = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
	known := chat + "Authorization: Bearer " + gatewaytest.Token + "\r\n"
	for name, test := range map[string]struct {
		bytes     string
		halfClose bool
		want      string
	}{
		"unsent, by a stranger": {chat + "Content-Length: 1000\r\n\r\n{", false, "HTTP/1.1 401 Unauthorized"},
		"unsent, to the health": {"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", false, "HTTP/1.1 200 OK"},
		"unsent, to nowhere":    {"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", false, "HTTP/1.1 404 Not Found"},
		"cut":                   {known + "Content-Length: 1000\r\n\r\n{", true, ""},
		"a chunk of no size":    {known + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, "HTTP/1.1 400 Bad Request"},
		"two lengths":           {known + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", false, "HTTP/1.1 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rawRequest(t, g, test.bytes, test.halfClose); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// A client that disconnects within its upload counts as cancelled, not as refused.
func TestDisconnectWithinUpload(t *testing.T) {
	g := newServer(t, fake())
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 900\r\n\r\n{\"model\":", gatewaytest.Token)
	c.Close()
	gatewaytest.Wait(t, "it is logged as cancelled", func() bool { return strings.Contains(g.Log.String(), `"outcome":"cancelled"`) })
}

// Guesses of tokens are limited per client address, for which only trusted proxies' headers count.
func TestGuessing(t *testing.T) {
	chat := func(g *gatewaytest.Gateway, token, forwarded string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, text := gatewaytest.Read(t, response)
		return response.StatusCode, text
	}
	auth := "[auth]\nmax_failures_per_minute = 2\n"
	g := gatewaytest.Start(t, gatewaytest.Config(auth+"trusted_proxies = [\"127.0.0.0/8\", \"::1\"]\n"))
	for i, step := range []struct {
		token, forwarded string
		status           int
	}{
		{gatewaytest.Token, "192.0.2.1", 200},
		{"berry-guess-1", "192.0.2.1", 401},
		{"berry-guess-2", "203.0.113.9, 192.0.2.1", 401}, // the client's own entry does not count
		{"berry-guess-3", "192.0.2.1", 429},
		{gatewaytest.Token, "192.0.2.1", 429}, // a valid token does not unblock the address
		{gatewaytest.Token, "192.0.2.2", 200},
		{"berry-guess-1", "192.0.2.3:4711", 401}, // with a port, which some proxies add
		{gatewaytest.Token, "192.0.2.2", 200},
		{"berry-guess-1", "2001:db8::1", 401},
		{"berry-guess-1", "2001:db8::2", 401},
		{"berry-guess-1", "2001:db8::3", 429},
	} {
		if status, text := chat(g, step.token, step.forwarded); status != step.status {
			t.Errorf("step %d: %d %s, want %d", i, status, text, step.status)
		}
	}
	g.Rewrite(t, gatewaytest.Config(auth+"trusted_proxies = [\"127.0.0.0/8\", \"::1\"]\n# another config\n"))
	if status, text := chat(g, gatewaytest.Token, "192.0.2.1"); status != 429 {
		t.Errorf("after a reload: %d %s", status, text)
	}
	if n := strings.Count(g.Log.String(), "address turned away"); n != 2 {
		t.Errorf("the log reports %d blocked addresses, want 2", n)
	}
	if !strings.Contains(g.Log.String(), `"remote":"192.0.2.1"`) {
		t.Error("the audit line does not contain the client's address")
	}

	direct := gatewaytest.Start(t, gatewaytest.Config(auth)) // without trusted proxies the header does not count
	for i, want := range []int{401, 401, 429} {
		if status, text := chat(direct, "berry-guess", fmt.Sprintf("192.0.2.%d", i)); status != want {
			t.Errorf("guess %d: %d %s, want %d", i, status, text, want)
		}
	}
}

// certify writes a self-signed certificate with the common name, and its key, into the folder.
func certify(t *testing.T, folder, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(folder, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The public listener serves TLS and HTTP/2 and reloads its certificate from the files.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	certify(t, folder, "first")
	toml := strings.Replace(gatewaytest.Config(), "[server]\n",
		fmt.Sprintf("[server]\ntls_cert = %q\ntls_key = %q\n", filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")), 1)
	g := gatewaytest.Start(t, toml)
	presented := func() string {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} // the test checks the certificate itself
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(strings.Replace(g.URL, "http:", "https:", 1) + "/ready")
		if err != nil {
			t.Fatal(err)
		}
		gatewaytest.Read(t, response)
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Errorf("%s %d", response.Proto, response.StatusCode)
		}
		return response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name := presented(); name != "first" {
		t.Errorf("got the certificate of %s", name)
	}
	certify(t, folder, "second")
	gatewaytest.Wait(t, "the other certificate is presented", func() bool { return presented() == "second" })

	if err := os.WriteFile(filepath.Join(folder, "key.pem"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	gatewaytest.Wait(t, "the broken key is noticed", func() bool { return g.Status(t).LastReload.Result == gateway.Failed })
	if s := g.Rewrite(t, gatewaytest.Config()); !slices.Equal(s.LastReload.NeedsRestart, []string{"server.tls_cert"}) {
		t.Errorf("without TLS: %+v", s.LastReload)
	}
	if name := presented(); name != "second" {
		t.Errorf("got the certificate of %s", name)
	}
}

// A valid request id of a client is kept; an invalid one is replaced.
func TestRequestID(t *testing.T) {
	g := newServer(t, fake())
	for sent, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, strings.Repeat("x", 65): false} {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Request-Id", sent)
		response, err := g.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		gatewaytest.Read(t, response)
		if got := response.Header.Get("X-Request-Id"); got == "" || (got == sent) != kept {
			t.Errorf("request id %q: got %q", sent, got)
		}
	}
}
