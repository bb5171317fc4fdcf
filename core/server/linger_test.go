package server_test

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

// A client that reads only after it has sent its whole body, as Python's and Node.js's do, receives the error: the gateway closes the connection
// only afterwards.
func TestRefusalsOfLargeBodies(t *testing.T) {
	const size = 40 << 20
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", "http://127.0.0.1:1"), gatewaytest.Model("m", "failover", "p")))
	good := "Bearer " + gatewaytest.Token
	for name, test := range map[string]struct {
		path, token string
		status      int
	}{
		"too large":     {"/v1/chat/completions", good, 413},
		"no token":      {"/v1/chat/completions", "Bearer berry-nobody-0123456789", 401},
		"no such path":  {"/v1/nothing", good, 404},
		"a message":     {"/v1/messages", "Bearer berry-nobody-0123456789", 401},
		"a wrong thing": {"/v1/models", good, 405},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				r, err := http.NewRequest(http.MethodPost, g.URL+test.path, io.LimitReader(filler{}, size))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", test.token)
				r.Header.Set("Content-Type", "application/json")
				if !chunked {
					r.ContentLength = size
				}
				if err := r.Write(conn); err != nil {
					t.Fatalf("the connection was closed on a client that sends: %v", err)
				}
				response, err := http.ReadResponse(bufio.NewReader(conn), r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != test.status || !response.Close || !strings.Contains(string(body), `"error"`) {
					t.Errorf("%d, closes %t, %s, %v; want %d", response.StatusCode, response.Close, body, err, test.status)
				}
				if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
					t.Errorf("%d bytes after the answer, %v", n, err)
				}
			})
		}
	}
}

// A filler is an endless JSON string.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
