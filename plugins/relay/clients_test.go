package relay_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A client that reads one kilobyte per second slows its provider down (backpressure) instead of filling the gateway's memory, and does not delay
// other clients.
func TestSlowReaderHoldsTheProviderBack(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	event := chunk(strings.Repeat("x", 10_000), "null")
	first := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); !strings.Contains(string(b), "true") {
			say(200, answer)(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			n, err := io.WriteString(w, event)
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	})
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, first)), gatewaytest.Model("m", "failover", "p")))
	response := g.Post(t, "/v1/chat/completions", `{"model":"m","stream":true}`)
	defer response.Body.Close()
	var last int64
	for range 4 {
		if _, err := io.CopyN(io.Discard, response.Body, 1<<10); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		last = written.Load()
		if response, text := g.Chat(t, "m"); response.StatusCode != 200 {
			t.Errorf("somebody else got %d %s", response.StatusCode, text)
		}
	}
	t.Logf("the provider could send %d KiB", last>>10)
	if now := written.Load(); now > last+1<<20 || now > 64<<20 { // what sockets hold between the three
		t.Errorf("the provider has sent %d bytes, and goes on", now)
	}
}

// A stalled upload times out with an error in the client's API's format.
func TestStuckUpload(t *testing.T) {
	for path, want := range map[string]string{"/v1/chat/completions": `"code":"request_timeout"`, "/v1/messages": `{"type":"error","error":{"type":"timeout_error"`} {
		t.Run(path, func(t *testing.T) { t.Parallel(); testStuckUpload(t, path, want) })
	}
}

func testStuckUpload(t *testing.T, path, want string) {
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(t, say(200, answer))), gatewaytest.Model("m", "failover", "p")))
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{\"model\":\"m\",", path, gatewaytest.Token)
	began := time.Now()
	if err := c.SetReadDeadline(began.Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text := gatewaytest.Read(t, response); response.StatusCode != 408 || !strings.Contains(text, want) {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	t.Logf("given up after %v", time.Since(began).Round(time.Second))
}
