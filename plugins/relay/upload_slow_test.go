package relay_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// begun sends the beginning of a form whose model is m, and no more.
func begun(t *testing.T, g *gatewaytest.Gateway, model string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	body := formOf(formField("model", model), formFile(strings.Repeat("x", 300_000)))
	fmt.Fprintf(c, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		gatewaytest.Token, formType, len(body), body[:200_000])
	return c.(*net.TCPConn)
}

// A refused client that waits for its answer before it sends on has all of it at once; what it sends after that is no request.
func TestUploadRefusedToWhoWaits(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: say(200, `{}`)}
	g := uploadGateway(t, provider, provider)
	response, err := http.ReadResponse(bufio.NewReader(begun(t, g, "none")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 404 || response.ContentLength != int64(len(text)) || !response.Close {
		t.Errorf("%d %v %s", response.StatusCode, response.Header, text)
	}
}

// Who will send no more, but still listens, is not told that all is well.
func TestUploadLeftHalf(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: say(200, `{}`)}
	g := uploadGateway(t, provider, provider)
	c := begun(t, g, "m")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

// The request's time ends while the client is waited for, too, and counts against nobody.
func TestUploadLate(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: say(200, `{}`)}
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\ntotal_timeout_seconds = 1",
		gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p")))
	response, err := http.ReadResponse(bufio.NewReader(begun(t, g, "m")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 504 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if a := g.Status(t).Models[0].Backends[0].Attempts; a.Failed != 0 || a.Cancelled != 1 {
		t.Errorf("%+v", a)
	}
}

// The duration of an upload does not count as the backend's latency.
func TestUploadLatency(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	provider := &listener{answer: say(200, `{}`)}
	g := uploadGateway(t, provider, provider)
	body := formOf(formField("model", "m"), formFile(strings.Repeat("x", 300_000)))
	begin, end := io.Pipe()
	go func() {
		_, _ = io.WriteString(end, body[:200_000])
		time.Sleep(pause)
		_, _ = io.WriteString(end, body[200_000:])
		end.Close()
	}()
	if response, text := post(t, g, "/v1/audio/transcriptions", formType, begin, -1); response.StatusCode != 200 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if ms := g.Status(t).Models[0].Backends[0].LatencyMS; ms <= 0 || ms >= float64(pause.Milliseconds()) {
		t.Errorf("%v ms", ms)
	}
}

// At the end of a shutdown's grace time, who is within an upload is told.
func TestUploadShutdown(t *testing.T) {
	t.Parallel()
	provider := &listener{answer: say(200, `{}`)}
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, provider)), gatewaytest.Model("m", "failover", "p")),
		"[server]", "[server]\nshutdown_grace_seconds = 1", 1))
	c := begun(t, g, "m")
	gatewaytest.Wait(t, "the upload has begun", func() bool { return g.Status(t).Models[0].Backends[0].InFlight == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 503 || !strings.Contains(text, "shutting_down") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
