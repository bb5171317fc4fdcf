// Package connectiontest implements servers for tests that close, drain or delay connections.
package connectiontest

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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Closer is an HTTP/1.1 server that serves a fixed number of requests on each connection and closes it on the next one.
type Closer struct {
	Address  string
	Requests atomic.Int64
	Last     atomic.Value // body of the latest request, a string

	answers int
}

// ServeCloser runs, until the test ends, a Closer that serves the number of requests per connection. It echoes their bodies.
func ServeCloser(t testing.TB, answers int) *Closer {
	t.Helper()
	l := listen(t)
	c := &Closer{Address: l.Addr().String(), answers: answers}
	serve(t, l, c.serve)
	return c
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve passes the listener's connections to handle until the test ends, and then closes the remaining ones.
func serve(t testing.TB, l net.Listener, handle func(net.Conn)) {
	var mu sync.Mutex
	var all []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range all {
			_ = conn.Close() // most are closed already
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			go handle(conn)
		}
	}()
}

func (c *Closer) serve(conn net.Conn) {
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
		c.Requests.Add(1)
		c.Last.Store(string(body))
		if n >= c.answers {
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// A Draining is an HTTP/2 server over TLS that sends GOAWAY after a number of streams on each connection and does not process later ones. Before
// that it refuses one stream in ten.
type Draining struct {
	Address   string
	CA        []byte // the server's certificate, in PEM
	Processed atomic.Int64
	GoAways   atomic.Int64
	Refused   atomic.Int64

	streams int
	answer  string // JSON
}

// ServeDraining runs a Draining until the test ends. With 0 streams it replies to each request with a GOAWAY that marks it as not processed. Data
// in both directions is delayed.
func ServeDraining(t testing.TB, streams int, delay time.Duration, answer string) *Draining {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer certified.Close()
	d := &Draining{
		CA:      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}),
		streams: streams, answer: answer,
	}
	own := listen(t)
	d.Address = own.Addr().String()
	serve(t, tls.NewListener(own, &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}}), d.serve)
	if delay > 0 {
		d.Address = serveDelayed(t, d.Address, delay)
	}
	return d
}

func (d *Draining) serve(conn net.Conn) {
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
			if d.streams == 0 {
				d.GoAways.Add(1)
				_ = f.WriteGoAway(0, http2.ErrCodeNo, nil) // the connection closes in any case
				return
			}
			if last != 0 && frame.StreamID > last || !frame.StreamEnded() {
				continue // not processed
			}
			if n++; n%10 == 0 {
				d.Refused.Add(1)
				if f.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream) != nil {
					return
				}
				continue
			}
			d.Processed.Add(1)
			header.Reset()
			_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = encoder.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/json"})
			if f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: header.Bytes(), EndHeaders: true}) != nil || f.WriteData(frame.StreamID, true, []byte(d.answer)) != nil {
				return
			}
			if n >= d.streams && last == 0 {
				last = frame.StreamID
				d.GoAways.Add(1)
				if f.WriteGoAway(last, http2.ErrCodeNo, []byte("sk-secret")) != nil {
					return
				}
			}
		}
	}
}

// serveDelayed runs, until the test ends, a TCP proxy to the address that delays data in both directions. It returns the proxy's address.
func serveDelayed(t testing.TB, address string, delay time.Duration) string {
	t.Helper()
	l := listen(t)
	serve(t, l, func(conn net.Conn) {
		defer conn.Close()
		to, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return
		}
		defer to.Close()
		go carry(to, conn, delay)
		carry(conn, to, delay)
	})
	return l.Addr().String()
}

// carry copies from one connection to the other with the delay, and closes the destination at the end.
func carry(to, from net.Conn, delay time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	inFlight := make(chan piece, 1024)
	go func() {
		defer close(inFlight)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				inFlight <- piece{b[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range inFlight {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.bytes) // fails if the destination is closed; the other direction then ends too
	}
	_ = to.Close() // may be closed already
}
