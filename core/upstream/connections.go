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

// connections is a provider's connection pool. Servers close kept connections at any time, and do not process a request that meets the
// close; it is sent once more over a new connection. It is safe for concurrent use.
//
// Over HTTP/2, net/http itself repeats a request whose stream was refused, or not processed before a GOAWAY, if it has GetBody. Over
// HTTP/1.1 it would repeat a request with an Idempotency-Key over one kept connection after the other; so requests must not have that header
// in its canonical form.
type connections struct {
	kept  *http.Transport
	fresh *http.Transport // a new connection for each request
}

var _ http.RoundTripper = (*connections)(nil)

// dialTimeout is the timeout for a new connection.
const dialTimeout = 10 * time.Second

// newConnections returns the pool for a provider. It does not ask for compression, since bodies pass unchanged. It has no timeout for
// responses; the relay has.
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
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // to detect dead connections
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        16 << 10, // most requests fit into one write
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
		return response, nil // its body is read with ctx, which ends with the request's context
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
	case r.ContentLength != 0: // it cannot be sent again
		return nil, err
	}
	return c.fresh.RoundTrip(again)
}

// CloseIdleConnections closes the idle connections.
func (c *connections) CloseIdleConnections() {
	c.kept.CloseIdleConnections()
	c.fresh.CloseIdleConnections()
}

// maxSends bounds how often net/http sends a request because its connection had ended or its stream was refused. Over HTTP/2 it has no limit of
// its own: a provider that answers each request with a GOAWAY would be sent the request again until the time limit.
const maxSends = 5

var errResent = errors.New("the provider has closed one connection after another before it read the request")

// A watch observes over which connection a request is sent, and whether a response begins.
type watch struct {
	giveUp   context.CancelCauseFunc
	sends    int
	trace    httptrace.ClientTrace
	got      httptrace.GotConnInfo // set by RoundTrip's own goroutine
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

// closedUnused reports whether a kept connection closed before a response began. Over HTTP/2, the close does not show which requests were
// processed.
func (w *watch) closedUnused() bool {
	if !w.got.Reused || w.answered.Load() {
		return false
	}
	secure, ok := w.got.Conn.(*tls.Conn)
	return !ok || secure.ConnectionState().NegotiatedProtocol != "h2"
}
