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

// begin sends the header and a part of the body of alice's request and returns the first line of the response: 100 Continue if the gateway reads
// the body.
func begin(t *testing.T, g *gatewaytest.Gateway, path, media, body string) (c net.Conn, answer *bufio.Reader, line string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", path, gatewaytest.Token, media)
	answer = bufio.NewReader(c)
	if line, err = answer.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	return c, answer, line
}

// A user's slow uploads take no places of other users: above the number of places, or half of it for uploads that are streamed, that user receives
// 429 and other users are served.
func TestSlowBodiesTakeNoPlaces(t *testing.T) {
	provider := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"choices":[]}`)
	}))
	form := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nsound"
	for name, slow := range map[string]struct {
		path, media, body string
		most              int
	}{
		"JSON":      {"/v1/chat/completions", "application/json", `{"model":"m",`, 4},
		"a form":    {"/v1/audio/transcriptions", "multipart/form-data; boundary=b", form, 2},
		"no model":  {"/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\n", 4},
		"to nobody": {"/v1/chat/completions", "application/json", `{"model":"nothing",`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			toml := gatewaytest.Config("[users.bob]\ntoken = \"berry-bob-0123456789\"\n", gatewaytest.Provider("p", provider), gatewaytest.Model("m", "failover", "p"))
			g := gatewaytest.Start(t, strings.Replace(toml, "[server]\n", "[server]\nmax_in_flight = 4\n", 1))
			var all []net.Conn
			for range slow.most {
				c, _, line := begin(t, g, slow.path, slow.media, slow.body)
				if !strings.Contains(line, " 100 ") {
					t.Fatalf("%q, want 100 Continue", line)
				}
				all = append(all, c)
			}
			ask := func(token string) (int, string) {
				response, text := gatewaytest.Read(t, g.Send(t, token, http.MethodPost, "/v1/chat/completions", `{"model":"m","messages":[]}`))
				return response.StatusCode, text
			}
			if name == "a form" {
				gatewaytest.Wait(t, "the forms pass", func() bool { return g.Status(t).Providers[0].InFlight == slow.most })
			}
			_, answer, line := begin(t, g, slow.path, slow.media, slow.body)
			for strings.TrimSpace(line) == "" || strings.Contains(line, " 100 ") {
				var err error
				if line, err = answer.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(line, " 429 ") {
				t.Errorf("upload above the limit: got %q, want 429", line)
			}
			for range 3 {
				if status, text := ask("berry-bob-0123456789"); status != 200 {
					t.Errorf("bob's request: got %d %s, want 200", status, text)
				}
			}
			for _, c := range all {
				_ = c.Close()
			}
			gatewaytest.Wait(t, "alice is answered again", func() bool { status, _ := ask(gatewaytest.Token); return status == 200 })
		})
	}
}
