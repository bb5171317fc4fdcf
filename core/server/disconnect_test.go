package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// A client that pipelines requests and reads no responses does not delay the shutdown.
func TestUnreadResponsesDoNotDelayShutdown(t *testing.T) {
	const grace = 60
	g := gatewaytest.Start(t, strings.Replace(gatewaytest.Config(), "[server]\n", fmt.Sprintf("[server]\nshutdown_grace_seconds = %d\n", grace), 1))
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	many := []byte(strings.Repeat("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 1000))
	for err == nil { // until the gateway stops reading because it cannot write
		if err = c.SetWriteDeadline(time.Now().Add(2 * time.Second)); err == nil {
			_, err = c.Write(many)
		}
	}
	began := time.Now()
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= grace*time.Second {
		t.Errorf("the shutdown took %v, the whole grace period", took)
	}
}

// A disconnect is detected although the client has not sent the body of a call that takes none; it frees the place and cancels the provider's
// request.
func TestDisconnectWithinUnneededBody(t *testing.T) {
	arrived, left := make(chan bool, 4), make(chan bool, 4)
	provider := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"id":"resp_1","object":"response","model":"one","output":[],"status":"completed"}`)
			return
		}
		arrived <- true
		<-r.Context().Done()
		left <- true
	}))
	g := gatewaytest.Start(t, gatewaytest.Config(gatewaytest.Provider("p", provider), gatewaytest.Model("m", "failover", "p")))
	_, stored := gatewaytest.Read(t, g.Post(t, "/v1/responses", `{"model":"m","input":"a"}`))
	_, id, _ := strings.Cut(stored, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	for name, test := range map[string]struct {
		header, body string
		reaches      bool
	}{
		"no body":         {"", "", true},
		"a small one":     {"Content-Length: 2\r\n", "{}", true},
		"chunks":          {"Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", true},
		"one cut off":     {"Content-Length: 5\r\n", "{", false},
		"chunks, cut off": {"Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n", false},
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /v1/responses/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n%s", id, gatewaytest.Token, test.header, test.body)
		if test.reaches {
			<-arrived
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !test.reaches {
			continue
		}
		select {
		case <-left:
		case <-time.After(time.Minute):
			t.Fatalf("%s: the provider's request was not cancelled after the client disconnected", name)
		}
	}
	if len(arrived) > 0 {
		t.Error("the provider received a call whose body was truncated")
	}
}
