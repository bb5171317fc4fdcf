// Package apierror has the errors that clients receive: their HTTP status, type, code and message. They have OpenAI's form; core/messages
// writes them in Anthropic's.
package apierror

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The types of errors, as in OpenAI's API.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeServer         = "server_error"
	TypeUpstream       = "upstream_error"
)

// The codes of errors.
const (
	CodeInvalidJSON        = "invalid_json"
	CodeInvalidForm        = "invalid_form"
	CodeMissingModel       = "missing_model"
	CodeInvalidModel       = "invalid_model"
	CodeMissingAPIKey      = "missing_api_key"
	CodeInvalidAPIKey      = "invalid_api_key"
	CodeAccountDeactivated = "account_deactivated"
	CodeModelNotAllowed    = "model_not_allowed"
	CodeModelNotFound      = "model_not_found"
	CodeContentFilter      = "content_filter"
	CodeResponseNotFound   = "response_not_found"
	CodeNotFound           = "not_found"
	CodeMethodNotAllowed   = "method_not_allowed"
	CodeUpgradeRequired    = "upgrade_required"
	CodeRequestTooLarge    = "request_too_large"
	CodeUnsupportedMedia   = "unsupported_media_type"
	CodeRequestTimeout     = "request_timeout"
	CodeInternalError      = "internal_error"
	CodeUpstreamError      = "upstream_error"
	CodeUpstreamTimeout    = "upstream_timeout"
	CodeNoBackend          = "no_backend_available"
	CodeProviderNotAllowed = "provider_not_allowed"
	CodeUnknownProvider    = "unknown_provider"
	CodeAmbiguousProvider  = "ambiguous_provider"
	CodeNotServed          = "unsupported_endpoint"
	CodeInvalidTimeout     = "invalid_timeout"
	CodeInvalidValue       = "invalid_value"
	CodeTooManyFailures    = "too_many_failures"
	CodeForbiddenOrigin    = "forbidden_origin"
	CodeOverloaded         = "overloaded"
	CodeShuttingDown       = "shutting_down"
)

// StatusClientGone is the status in logs and metrics of a request whose client disconnected before the response. It is nginx's code, and is
// never sent.
const StatusClientGone = 499

// An Error is the gateway's own error response. Its message contains no secret and names no provider; its cause is for the gateway's log.
type Error struct {
	Status     int
	Type       string
	Code       string
	Param      string        // the invalid parameter; "" if none
	Message    string        // what is wrong and what to do
	RetryAfter time.Duration // 0: no Retry-After header
	Cause      error
}

// Invalid returns an invalid_request_error.
func Invalid(status int, code, param, format string, args ...any) *Error {
	return &Error{Status: status, Type: TypeInvalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// Ambiguous returns the error of a request with a key that some JSON parsers read as the parameter and others do not.
func Ambiguous(status int, code, param string) *Error {
	return Invalid(status, code, param, "Ambiguous key %q: it is repeated, or written with upper case or escapes. Send it once, in lower case, without escapes.", param)
}

// Internal returns an internal_error for cause, a bug. The client does not see the cause.
func Internal(cause error) *Error {
	return &Error{
		Status: http.StatusInternalServerError, Type: TypeServer, Code: CodeInternalError, Cause: cause,
		Message: "Internal error. The gateway's log has the cause under this response's X-Request-Id.",
	}
}

// Bearer returns the token of the Authorization header (RFC 6750, section 2.1), or a missing_api_key error. The header must not be repeated.
func Bearer(h http.Header) (string, *Error) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "No API key. Send one header: Authorization: Bearer YOUR_KEY")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "Malformed Authorization header. Send one header: Authorization: Bearer YOUR_KEY")
	}
	return token, nil
}

// APIKey returns the key of a request to Anthropic's API, from the Authorization header if there is one, else from X-Api-Key; or a
// missing_api_key error.
func APIKey(h http.Header) (string, *Error) {
	values := h["X-Api-Key"]
	switch {
	case h["Authorization"] != nil:
		return Bearer(h)
	case len(values) != 1 || values[0] == "" || strings.ContainsAny(values[0], " \t,"):
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "No API key. Send one header: x-api-key: YOUR_KEY")
	}
	return values[0], nil
}

// ErrShutdown is the cause with which the server cancels exchanges that outlast the shutdown's grace period. Their clients are still connected
// and receive an error.
var ErrShutdown = errors.New("the gateway shuts down")

// Interrupted returns the error of an exchange whose context was cancelled with the cause: shutting_down, or ClientGone.
func Interrupted(cause error) *Error {
	if !errors.Is(cause, ErrShutdown) {
		return ClientGone(cause)
	}
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer, Code: CodeShuttingDown, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway is shutting down. Retry shortly.",
	}
}

// ClientGone returns the error of an exchange whose client disconnected before the response. It is logged, not sent.
func ClientGone(cause error) *Error {
	return &Error{Status: StatusClientGone, Type: TypeInvalidRequest, Code: "client_gone", Message: "The client disconnected before the response.", Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Envelope returns the response body, in OpenAI's format: {"error":{"message","type","param","code"}}.
func (e *Error) Envelope() []byte {
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	b := body{Message: e.Message, Type: e.Type}
	if e.Param != "" {
		b.Param = &e.Param
	}
	if e.Code != "" {
		b.Code = &e.Code
	}
	out, err := json.Marshal(map[string]body{"error": b})
	if err != nil { // strings always marshal
		panic(err)
	}
	return out
}
