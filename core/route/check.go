package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
)

var (
	errUnreadable = errors.New("the answer is not HTTP") // net/http's own words would quote it
	errTimeout    = errors.New("connection: timeout")    // of TLS's handshake
	errGoAway     = errors.New("connection: the server is closing it (GOAWAY)")
	errReset      = errors.New("connection: the server reset the stream")
	errLost       = errors.New("connection: lost")
)

// Checked records at now the result of a health check that began at began: the status of the response, or the error if there was none. Any
// response shows that the provider is alive, except a server error or a refused key.
func Checked(p *upstream.Provider, status int, err error, began, now time.Time, policy upstream.Policy) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.CheckFailed(now, "no answer in time", policy)
	case err != nil:
		p.CheckFailed(now, core.RootCause(Broken(err)), policy)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		p.CheckRefused(now, policy)
	case status >= 500:
		p.CheckFailed(now, fmt.Sprintf("status %d", status), policy)
	default:
		p.CheckPassed(began, now)
	}
}

// Broken returns a connection's error in words that do not quote the provider.
func Broken(err error) error {
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &op) || errors.As(err, &certificate) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("connection: %w", err)
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errTimeout
	}
	// net/http does not export the types of HTTP/2's errors, and some quote the server.
	switch text := err.Error(); {
	case strings.HasPrefix(text, "stream error: "):
		return errReset
	case !strings.HasPrefix(text, "http2: "):
		return errUnreadable
	case strings.Contains(text, "GOAWAY"):
		return errGoAway
	case strings.Contains(text, "REFUSED_STREAM"):
		return errReset
	default:
		return errLost
	}
}
