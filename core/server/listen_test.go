package server_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// sockets returns a folder whose path is short enough for Unix sockets.
func sockets(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "berry")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// through returns a client that sends every request to the socket.
func through(t *testing.T, socket string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Both listeners and a provider may use Unix sockets. A stale socket is replaced, and removed at shutdown.
func TestUnixSockets(t *testing.T) {
	folder := sockets(t)
	public, admin, upstream := filepath.Join(folder, "berry.sock"), filepath.Join(folder, "admin.sock"), filepath.Join(folder, "vllm.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: public, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", upstream)
	if err != nil {
		t.Fatal(err)
	}
	provider := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/chat/completions":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"id":"1","object":"chat.completion","model":"one","choices":[{"index":0,"message":{"role":"assistant","content":"` + r.Host + `"},"finish_reason":"stop"}]}`))
		case "/v1/realtime":
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"session.created"}`))
				_, _, _ = c.Read(r.Context()) // until the client disconnects
			}
		default:
			http.NotFound(w, r)
		}
	})}
	go func() { _ = provider.Serve(l) }()
	t.Cleanup(func() { _ = provider.Close() })

	toml := gatewaytest.Config(strings.Replace(gatewaytest.Provider("p", ""), `"/v1"`, `"unix:`+upstream+`:/v1"`, 1), gatewaytest.Model("m", "random", "p"))
	toml = strings.Replace(toml, `admin_listen = "127.0.0.1:0"`, `admin_listen = "unix:`+admin+`"`, 1)
	toml = strings.Replace(toml, `listen = "127.0.0.1:0"`, `listen = "unix://`+public+`"`, 1)
	g := gatewaytest.Start(t, toml)
	g.URL, g.AdminURL, g.Client = "http://localhost", "http://localhost", through(t, public)
	if response, text := g.Chat(t, "m"); response.StatusCode != 200 || !strings.Contains(text, `"content":"localhost"`) {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	c, response, err := websocket.Dial(t.Context(), "http://localhost/v1/realtime?model=m", &websocket.DialOptions{
		HTTPClient: g.Client, HTTPHeader: http.Header{"Authorization": {"Bearer " + gatewaytest.Token}},
	})
	if err != nil {
		t.Fatalf("%v %v", response, err)
	}
	if _, text, err := c.Read(t.Context()); err != nil || !strings.Contains(string(text), "session.created") {
		t.Errorf("%s %v", text, err)
	}
	_ = c.CloseNow()
	g.Client = through(t, admin)
	if page := g.Page(t, "/admin/status"); !strings.Contains(page, `"models"`) {
		t.Errorf("%s", page)
	}
	if l, err := server.ListenAt(t.Context(), "unix:"+public); err == nil {
		t.Error("a listener replaced a socket that is in use")
		_ = l.Close()
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	for _, socket := range []string{public, admin} {
		if _, err := os.Stat(socket); !os.IsNotExist(err) {
			t.Errorf("%s after the end: %v", socket, err)
		}
	}
}

// A listener removes only its own socket and replaces no other kind of file.
func TestSocketOfAnotherProcess(t *testing.T) {
	path := filepath.Join(sockets(t), "berry.sock")
	first, err := server.ListenAt(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := server.ListenAt(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Errorf("the second listener cannot be reached after the first has closed: %v", err)
	} else {
		_ = conn.Close()
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the second listener left its socket: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ListenAt(t.Context(), "unix:"+path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("on a file: got %v, want that it is not a socket", err)
	}
}
