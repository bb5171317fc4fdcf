package anthropic

import (
	"net/http"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// A fault is an error of the API (https://docs.anthropic.com/en/api/errors).
type fault struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// TranslateError translates an error.
func (a *answer) TranslateError(status int, body []byte) adapter.ErrorResponse {
	return Refusal(status, body)
}

// Refusal returns an error of the API in OpenAI's words. status is what it came with; 0 if it came in a 200.
func Refusal(status int, body []byte) adapter.ErrorResponse {
	var r reply
	if !chat.Decode(body, &r) || r.Error == nil {
		if status == adapter.StatusOverloaded {
			status = http.StatusServiceUnavailable
		}
		return chat.Unexplained(status)
	}
	return r.Error.translate(status).Refusal()
}

// translate returns the error in OpenAI's words. status is what it came with; 0 if it came in a 200.
func (f *fault) translate(status int) *chat.Error {
	e := &chat.Error{Status: status, Type: chat.TypeInvalid, Message: f.Message}
	is := func(status int, typ, code string) { e.Status, e.Type, e.Code = status, typ, code }
	said := strings.ToLower(f.Message)
	switch f.Type {
	case "authentication_error":
		is(http.StatusUnauthorized, chat.TypeAuthentication, "invalid_api_key")
	case "permission_error":
		is(http.StatusForbidden, chat.TypePermission, "permission_error")
	case "billing_error":
		is(http.StatusPaymentRequired, chat.TypeQuota, "insufficient_quota")
	case "not_found_error":
		is(http.StatusNotFound, chat.TypeInvalid, "not_found")
	case "request_too_large":
		is(http.StatusRequestEntityTooLarge, chat.TypeInvalid, "request_too_large")
	case "rate_limit_error":
		is(http.StatusTooManyRequests, chat.TypeRateLimit, "rate_limit_exceeded")
	case "timeout_error":
		is(http.StatusGatewayTimeout, chat.TypeServer, "timeout")
	case "overloaded_error":
		is(http.StatusServiceUnavailable, chat.TypeServer, "overloaded_error")
	case "invalid_request_error":
		is(http.StatusBadRequest, chat.TypeInvalid, "")
		switch {
		case strings.Contains(said, "prompt is too long"):
			e.Code = "context_length_exceeded"
		case strings.Contains(said, "content filtering policy"):
			e.Code = "content_filter"
		}
	default: // api_error, and what may come to be
		if status < 400 || status >= 500 {
			is(max(status, http.StatusInternalServerError), chat.TypeServer, "server_error")
		}
	}
	if e.Message == "" {
		e.Message = "The provider failed, and did not say why."
	}
	return e
}
