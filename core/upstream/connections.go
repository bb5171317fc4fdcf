package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// connections sends a provider's requests, over connections that are kept for the next ones. Servers close kept connections when they
// like, and a request that meets such an end was not processed: it is sent again once, over a new connection. It is safe for
// concurrent use.
//
// Over HTTP/2, net/http itself sends those streams again that a GOAWAY or REFUSED_STREAM says were not processed, if their request has
// GetBody. Over HTTP/1.1 it would send a request with an Idempotency-Key again over one kept connection after another; so requests must
// not have that header in its canonical form.
type connections struct {
	kept  *http.Transport
	fresh *http.Transport // dials for each request
}

var _ http.RoundTripper = (*connections)(nil)

// dialTimeout is how long a connection may take to be made.
const dialTimeout = 10 * time.Second

// newConnections returns the account's connections. They ask for no compression, since what need not change passes untouched, and the
// relay's own timeouts bound an answer.
func newConnections(a Identity) (*connections, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        a.Idle,
		ExpectContinueTimeout:  time.Second,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // or a dead connection is kept
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        16 << 10, // most requests leave in one write
	}
	if len(a.CA) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's certificates: %w", err)
		}
		roots.AppendCertsFromPEM(a.CA)
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if a.Socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", a.Socket)
		}
	}
	fresh := t.Clone()
	fresh.DisableKeepAlives = true
	return &connections{kept: t, fresh: fresh}, nil
}

// RoundTrip implements http.RoundTripper.
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	w := watch{giveUp: cancel}
	response, err := c.kept.RoundTrip(r.WithContext(w.in(ctx)))
	if err == nil {
		return response, nil // its body is read within ctx, which ends with the request's
	}
	if errors.Is(context.Cause(ctx), errResent) {
		err = errResent
	}
	cancel(nil)
	if !w.closedUnused() || r.Context().Err() != nil {
		return nil, err
	}
	again := r.Clone(r.Context())
	switch {
	case r.GetBody != nil:
		if again.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("upstream: the request's body: %w", err)
		}
	case r.ContentLength != 0: // its bytes are gone
		return nil, err
	}
	return c.fresh.RoundTrip(again)
}

// CloseIdleConnections closes the connections that are not in use.
func (c *connections) CloseIdleConnections() {
	c.kept.CloseIdleConnections()
	c.fresh.CloseIdleConnections()
}

// maxSends bounds how often net/http sends a request because its connection had ended or its stream was refused. Over HTTP/2 it has no limit of
// its own: a provider that answers each request with a GOAWAY would be sent the request again until the time limit.
const maxSends = 5

var errResent = errors.New("the provider has closed one connection after another before it read the request")

// A watch sees over which connection a request went, and whether anything of an answer has come.
type watch struct {
	giveUp   context.CancelCauseFunc
	sends    int
	trace    httptrace.ClientTrace
	got      httptrace.GotConnInfo // RoundTrip's own goroutine sets it
	answered atomic.Bool
}

func (w *watch) in(ctx context.Context) context.Context {
	w.trace.GotConn = func(info httptrace.GotConnInfo) {
		if w.got, w.sends = info, w.sends+1; w.sends > maxSends {
			w.giveUp(errResent)
		}
	}
	w.trace.GotFirstResponseByte = func() { w.answered.Store(true) }
	return httptrace.WithClientTrace(ctx, &w.trace)
}

// closedUnused reports whether the request met the end of a kept connection, before anything of an answer had come. Over HTTP/2 it cannot
// be told from the end of a connection what was processed.
func (w *watch) closedUnused() bool {
	if !w.got.Reused || w.answered.Load() {
		return false
	}
	secure, ok := w.got.Conn.(*tls.Conn)
	return !ok || secure.ConnectionState().NegotiatedProtocol != "h2"
}
