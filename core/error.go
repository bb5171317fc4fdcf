package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The types of errors that clients see, as OpenAI names them.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeServer         = "server_error"
	TypeUpstream       = "upstream_error"
)

// The codes of errors that clients see.
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

// StatusClientGone is the status that logs and metrics show when the client left before its answer; nobody receives it.
// (nginx's number for it.)
const StatusClientGone = 499

// An Error is what a client is told instead of an answer, in OpenAI's envelope. Its message never quotes a secret or a
// provider; its cause is for the gateway's own log.
type Error struct {
	Status     int
	Type       string
	Code       string
	Param      string // the request's parameter at fault; "" if none
	Message    string // what to do about it
	RetryAfter time.Duration
	Cause      error
}

// Invalid returns an invalid_request_error.
func Invalid(status int, code, param, format string, args ...any) *Error {
	return &Error{Status: status, Type: TypeInvalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// Internal returns the internal_error that hides cause, a bug, from the client.
func Internal(cause error) *Error {
	return &Error{
		Status: http.StatusInternalServerError, Type: TypeServer, Code: CodeInternalError, Cause: cause,
		Message: "The gateway failed; the operator finds the reason in its log under this answer's X-Request-Id.",
	}
}

// Bearer returns the token of a request's one Authorization header (RFC 6750, section 2.1), or a missing_api_key error.
func Bearer(h http.Header) (string, *Error) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "Send your API key in one header: Authorization: Bearer YOUR_KEY.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "The Authorization header is malformed; it must read: Authorization: Bearer YOUR_KEY.")
	}
	return token, nil
}

// APIKey returns the key of a request of Anthropic's clients, which send it in one X-Api-Key header, or as others do, or a
// missing_api_key error.
func APIKey(h http.Header) (string, *Error) {
	values := h["X-Api-Key"]
	switch {
	case h["Authorization"] != nil: // it goes before the other
		return Bearer(h)
	case len(values) != 1 || values[0] == "" || strings.ContainsAny(values[0], " \t,"):
		return "", Invalid(http.StatusUnauthorized, CodeMissingAPIKey, "", "Send your API key in one header: x-api-key: YOUR_KEY.")
	}
	return values[0], nil
}

// ErrShutdown is the cause with which the server ends the context of an exchange that has outlived the grace time of a shutdown.
// Its client is still there, and is told.
var ErrShutdown = errors.New("the gateway shuts down")

// Interrupted returns the error of an exchange whose context is done, for the context's cause: nobody is told of a client that
// has left.
func Interrupted(cause error) *Error {
	if !errors.Is(cause, ErrShutdown) {
		return ClientGone(cause)
	}
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer, Code: CodeShuttingDown, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway is shutting down; try again, and another one or the next will answer.",
	}
}

// ClientGone returns the error of an exchange whose client left before its answer. Nobody is told.
func ClientGone(cause error) *Error {
	return &Error{Status: StatusClientGone, Type: TypeInvalidRequest, Code: "client_gone", Message: "The client left before its answer.", Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Envelope returns e as OpenAI's JSON: {"error":{"message","type","param","code"}}.
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
