package upstream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A closer is a server that answers so many requests on each connection, and closes it when the next one comes.
type closer struct {
	listener net.Listener
	answers  int
	requests atomic.Int64
	last     atomic.Value // the latest body
}

func serveCloser(t *testing.T, answers int) *closer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &closer{listener: l, answers: answers}
	serve(t, l, c.serve)
	return c
}

// serve hands the listener's connections to handle until the test ends.
func serve(t *testing.T, l net.Listener, handle func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
}

func (c *closer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.requests.Add(1)
		c.last.Store(string(body))
		if n >= c.answers {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func post(t *testing.T, url, body string, rewinds bool) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["idempotency-key"] = []string{"k"}
	if !rewinds {
		r.GetBody = nil
	}
	return r
}

// answer makes the request and returns the answer's body.
func answer(c http.RoundTripper, r *http.Request) (string, error) {
	response, err := c.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(b)), err
}

func open(t *testing.T, a Account) *connections {
	t.Helper()
	c, err := newConnections(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// Requests that meet the end of kept connections are answered over new ones, however many there are at once, and none is sent more than
// twice.
func TestKeptConnectionsThatEnd(t *testing.T) {
	const clients = 10
	server := serveCloser(t, 1)
	c := open(t, Account{})
	url := "http://" + server.listener.Addr().String()
	for range 5 {
		before := server.requests.Load()
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				body := strings.Repeat(fmt.Sprint(i), 100_000)
				if got, err := answer(c, post(t, url, body, true)); err != nil || got != "200 "+body {
					t.Errorf("%.20q, %v", got, err)
				}
			})
		}
		all.Wait()
		if n := server.requests.Load() - before; n > 2*clients {
			t.Errorf("%d requests for %d", n, clients)
		}
	}
}

// What fails on a new connection has failed; so has what cannot be sent again.
func TestFreshConnectionsThatEnd(t *testing.T) {
	c := open(t, Account{})
	server := serveCloser(t, 0)
	if got, err := answer(c, post(t, "http://"+server.listener.Addr().String(), "x", true)); err == nil || server.requests.Load() != 1 {
		t.Errorf("%q after %d requests", got, server.requests.Load())
	}
	server = serveCloser(t, 1)
	url := "http://" + server.listener.Addr().String()
	if _, err := answer(c, post(t, url, "x", true)); err != nil {
		t.Fatal(err)
	}
	if got, err := answer(c, post(t, url, "x", false)); err == nil || server.requests.Load() != 2 {
		t.Errorf("an upload: %q after %d requests", got, server.requests.Load())
	}
}

// A draining server speaks HTTP/2, and says GOAWAY after so many streams of each connection: those that came later are not processed. Of
// the streams that it processes it refuses one in ten at first.
type drainingServer struct {
	streams   int
	processed atomic.Int64
	goAways   atomic.Int64
	refused   atomic.Int64
}

func (d *drainingServer) serve(conn net.Conn) {
	defer conn.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	if f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000}) != nil {
		return
	}
	var header bytes.Buffer
	encoder := hpack.NewEncoder(&header)
	n, last := 0, uint32(0)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() && f.WriteSettingsAck() != nil {
				return
			}
		case *http2.PingFrame:
			if !frame.IsAck() && f.WritePing(true, frame.Data) != nil {
				return
			}
		case *http2.DataFrame:
			if n := len(frame.Data()); n > 0 && f.WriteWindowUpdate(0, uint32(n)) != nil {
				return
			}
			if last != 0 && frame.StreamID > last || !frame.StreamEnded() {
				continue // not processed
			}
			if n++; n%10 == 0 {
				d.refused.Add(1)
				if f.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream) != nil {
					return
				}
				continue
			}
			d.processed.Add(1)
			header.Reset()
			_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			if f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: header.Bytes(), EndHeaders: true}) != nil || f.WriteData(frame.StreamID, true, []byte("ok")) != nil {
				return
			}
			if n >= d.streams && last == 0 {
				last = frame.StreamID
				d.goAways.Add(1)
				if f.WriteGoAway(last, http2.ErrCodeNo, []byte("sk-secret")) != nil {
					return
				}
			}
		}
	}
}

// Streams that a GOAWAY or REFUSED_STREAM says were not processed are sent again, and nobody notices.
func TestGoAway(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer certified.Close()
	for _, streams := range []int{100, 1000} {
		for _, clients := range []int{16, 32} {
			t.Run(fmt.Sprintf("after %d, %d clients", streams, clients), func(t *testing.T) {
				t.Parallel()
				d := &drainingServer{streams: streams}
				l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
				if err != nil {
					t.Fatal(err)
				}
				serve(t, l, d.serve)
				c := open(t, Account{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})})
				const requests = 3000
				var left atomic.Int64
				left.Store(requests)
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							if got, err := answer(c, post(t, "https://"+l.Addr().String(), strings.Repeat("x", 100), true)); got != "200 ok" {
								t.Errorf("%q, %v", got, err)
							}
						}
					})
				}
				all.Wait()
				if d.processed.Load() != requests || d.goAways.Load() == 0 || d.refused.Load() == 0 {
					t.Errorf("%d of %d requests were processed, %d GOAWAYs, %d refused", d.processed.Load(), requests, d.goAways.Load(), d.refused.Load())
				}
			})
		}
	}
}
