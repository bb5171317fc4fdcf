package gemini

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

// A fault is an error of Google's APIs (https://cloud.google.com/apis/design/errors).
type fault struct {
	Code    int      `json:"code"` // the HTTP status
	Message string   `json:"message"`
	Status  string   `json:"status"`
	Details []detail `json:"details"`
}

// A detail is an ErrorInfo or a RetryInfo, or something else.
type detail struct {
	Reason     string `json:"reason"`
	RetryDelay string `json:"retryDelay"` // such as 34.07s
}

// has tells whether an ErrorInfo gives the reason.
func (f *fault) has(reason string) bool {
	return slices.ContainsFunc(f.Details, func(d detail) bool { return d.Reason == reason })
}

// retryAfter returns the time for which the API asks to be left alone; 0 if it does not.
func (f *fault) retryAfter() time.Duration {
	for _, d := range f.Details {
		if delay, err := time.ParseDuration(d.RetryDelay); err == nil {
			return delay
		}
	}
	return 0
}

// TranslateError translates an error.
func (a *answer) TranslateError(status int, body []byte) adapter.ErrorResponse {
	return refusal(status, body)
}

func refusal(status int, body []byte) adapter.ErrorResponse {
	var r reply
	if list := bytes.TrimSpace(body); bytes.HasPrefix(list, []byte("[")) { // as some of Google's gateways send a stream's
		var replies []json.RawMessage
		if json.Unmarshal(list, &replies) == nil && len(replies) > 0 {
			body = replies[0]
		}
	}
	if !chat.Decode(body, &r) || r.Error == nil {
		return chat.Unexplained(status)
	}
	return r.Error.translate(status).Refusal()
}

// translate returns the error in OpenAI's words. status is what it came with; 0 if it came in a 200.
func (f *fault) translate(status int) *chat.Error {
	if status == 0 {
		status = f.Code
	}
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	e := &chat.Error{Status: status, Type: chat.TypeServer, Code: "server_error", Message: f.Message, RetryAfter: f.retryAfter()}
	is := func(status int, typ, code string) { e.Status, e.Type, e.Code = status, typ, code }
	said := strings.ToLower(f.Message)
	switch f.Status {
	case "INVALID_ARGUMENT", "OUT_OF_RANGE":
		is(http.StatusBadRequest, chat.TypeInvalid, "")
		switch {
		case f.has("API_KEY_INVALID"), strings.Contains(said, "api key not valid"), strings.Contains(said, "api key expired"):
			is(http.StatusUnauthorized, chat.TypeAuthentication, "invalid_api_key")
		case strings.Contains(said, "token count") && strings.Contains(said, "exceeds"):
			e.Code = "context_length_exceeded"
		}
	case "UNAUTHENTICATED":
		is(http.StatusUnauthorized, chat.TypeAuthentication, "invalid_api_key")
	case "PERMISSION_DENIED":
		is(http.StatusForbidden, chat.TypePermission, "permission_error")
	case "NOT_FOUND":
		is(http.StatusNotFound, chat.TypeInvalid, "not_found")
	case "RESOURCE_EXHAUSTED":
		is(http.StatusTooManyRequests, chat.TypeRateLimit, "rate_limit_exceeded")
	case "FAILED_PRECONDITION": // the account's state, such as a country or a bill, which no other request changes
		is(http.StatusServiceUnavailable, chat.TypeServer, "failed_precondition")
	case "UNAVAILABLE":
		is(http.StatusServiceUnavailable, chat.TypeServer, "overloaded_error")
	case "DEADLINE_EXCEEDED":
		is(http.StatusGatewayTimeout, chat.TypeServer, "timeout")
	default:
		if status < 500 {
			is(status, chat.TypeInvalid, "")
		}
	}
	if e.Message == "" {
		e.Message = "The provider failed, and did not say why."
	}
	return e
}
