package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
)

var (
	errUnreadable = errors.New("the answer is not HTTP") // net/http's own words would quote it
	errTimeout    = errors.New("connection: timeout")    // of TLS's handshake
)

// Checked records what an active check has shown of the provider: the status with which it answered, or the error if it did
// not. Whatever answers lives, but for a server's own error; a refused key is one.
func Checked(p *upstream.Provider, status int, err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.Failed("no answer in time")
	case err != nil:
		p.Failed(core.Brief(Broken(err)))
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		p.Refuse()
	case status >= 500:
		p.Failed(fmt.Sprintf("status %d", status))
	default:
		p.Passed()
	}
}

// Broken returns the error of a connection in words that do not quote what the provider sent.
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
	return errUnreadable
}
