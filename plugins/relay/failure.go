package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/contentcoding"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// clientLeft returns the failure of an attempt whose client disconnected before the end of the response, or that a shutdown ended. It does not
// affect the backend's health.
func clientLeft(err error) *core.Failure {
	return &core.Failure{Result: abi.ClientCancelled, Err: err}
}

// invalidResponse returns the failure of a provider whose response is of no use to a client. The provider is not asked again: its response depends
// on the request and on its configuration. An empty response may be transient.
func invalidResponse(err error) *core.Failure {
	return &core.Failure{Result: abi.ServerError, Retryable: true, NoRepeat: !errors.Is(err, errEmpty), Err: err}
}

// broken returns the failure that an error of the connection means.
func (t *attemptRun) broken(err error) *core.Failure {
	cause := context.Cause(t.ctx)
	switch {
	case errors.Is(cause, errLate): // first: to net/http, Upload.Interrupt looks like a client that disconnects
		return t.deadlinePassed()
	case t.out.Err() != nil:
		return clientLeft(context.Cause(t.out))
	case t.x.Body.Upload.Err() != nil:
		return clientLeft(t.x.Body.Upload.Err())
	case errors.Is(cause, errSilent) || errors.Is(err, errSilent):
		return &core.Failure{Result: abi.TimedOut, Retryable: true, Doubtful: true, Err: errSilent}
	}
	if isHeaderTooLarge(err) {
		return &core.Failure{Result: abi.ConnectFailed, Retryable: true, NoRepeat: true, Err: errHeader}
	}
	f := &core.Failure{Result: abi.ConnectFailed, Retryable: true, Reset: isReset(err), Err: route.Broken(err)}
	if !f.Reset {
		f.Scope = upstream.ScopeHost
	}
	return f
}

// isHeaderTooLarge reports whether net/http rejected the response for the size of its headers, informational responses included. It has no types for
// these errors.
func isHeaderTooLarge(err error) bool {
	return strings.Contains(err.Error(), "server response headers exceeded") || strings.Contains(err.Error(), "response header list larger than")
}

// deadlinePassed returns the failure of an attempt that the exchange's deadline ended. It affects the health of a backend that had all of the
// operator's time: it was the first, and did not wait for the client's upload.
func (t *attemptRun) deadlinePassed() *core.Failure {
	if t.x.ClientDeadline || t.a.Number > 0 || t.x.Body.Upload.Consumed() {
		return &core.Failure{Result: abi.ClientCancelled, Err: errLate}
	}
	return &core.Failure{Result: abi.TimedOut, Doubtful: true, Err: errLate}
}

// clientWriteFailed returns the failure of an attempt whose response could not be written to the client.
func (t *attemptRun) clientWriteFailed(err error) *core.Failure {
	if errors.Is(err, errLate) {
		return t.deadlinePassed()
	}
	return clientLeft(err)
}

// isReset reports whether the connection was established, TLS included, when it broke. (net/http does not export the types of HTTP/2's resets, so
// this excludes all others.)
func isReset(err error) bool {
	var (
		op          *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "remote error" || op.Op == "local error") {
		return false
	}
	return !errors.As(err, &certificate) && !errors.As(err, &record) && !errors.As(err, &alert)
}

// notJSON returns the failure of a provider whose response is not JSON. If only the end of the connection ends the body (RFC 9112, section 6.3), it
// may be truncated, and the provider is asked again.
func notJSON(response *http.Response, held []byte) *core.Failure {
	if len(held) == 0 {
		return invalidResponse(errEmpty)
	}
	f := invalidResponse(errNoJSON)
	f.NoRepeat = response.ContentLength >= 0 || len(response.TransferEncoding) > 0 || !response.Close
	return f
}

// truncated returns the failure that an error within a response's body means.
func (t *attemptRun) truncated(err error) *core.Failure {
	f := t.broken(err)
	switch {
	case f.Result != abi.ConnectFailed:
	case errors.Is(err, contentcoding.ErrInvalid):
		f = invalidResponse(err)
	default:
		f.Result, f.Reset, f.Err = abi.ServerError, true, fmt.Errorf("%w: %w", errCut, err)
	}
	return f
}

// untranslatable returns the failure of a request that cannot be expressed in the backend's API. Nothing was sent, so the backend's health is
// unaffected; another backend may support the request.
func (g *relayer) untranslatable(err error) *core.Failure {
	f := &core.Failure{Result: abi.ClientError, Untranslatable: true, Err: err}
	var param *adapter.ParamError
	if errors.As(err, &f.ClientError) {
		return f
	}
	if errors.As(err, &param) {
		e := apierror.Invalid(http.StatusBadRequest, param.Code, param.Param, "%s", param.Message)
		f.Answer = &core.Answer{Status: e.Status, Header: http.Header{"Content-Type": {"application/json"}}, Body: g.x.Operation.Protocol.ErrorBody(e, g.x.ID)}
	}
	return f
}

// undecodable returns the failure of a provider whose response has an unknown content coding. An error is classified by its status and headers, if
// they suffice.
func (t *attemptRun) undecodable(response *http.Response) *core.Failure {
	if response.StatusCode > 299 {
		if f := t.classify(t.refusal(response, nil)); f.Retryable {
			f.Answer = nil
			return f
		}
	}
	return invalidResponse(errEncoded)
}

// noMemory returns the failure of a stream that errNoMemory ended. It does not affect the backend's health.
func noMemory() *core.Failure {
	return &core.Failure{Result: abi.ClientError, Untranslatable: true, Err: errNoMemory, ClientError: &apierror.Error{
		Status: http.StatusServiceUnavailable, Type: apierror.TypeServer, Code: apierror.CodeOverloaded, RetryAfter: turnTime,
		Message: "The gateway's memory is full of large events that are still arriving. Retry shortly.",
	}}
}
