package messages

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/anthropic"
	"github.com/berrygate/berry/core/provider/chat"
)

// Envelope returns an error as Anthropic's JSON: {"type":"error","error":{"type","message"},"request_id"}. Its type follows from the
// status, and where that says less, from OpenAI's code for it (https://docs.anthropic.com/en/api/errors).
func Envelope(status int, code, message, requestID string) []byte {
	return envelope(kindOf(status, code), message, requestID)
}

func envelope(kind, message, requestID string) []byte {
	type fault struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	return chat.Append(nil, struct {
		Type      string `json:"type"`
		Error     fault  `json:"error"`
		RequestID string `json:"request_id"`
	}{"error", fault{kind, message}, requestID})
}

func kindOf(status int, code string) string {
	switch {
	case code == "insufficient_quota" || status == http.StatusPaymentRequired:
		return "billing_error"
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusNotFound:
		return "not_found_error"
	case status == http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == http.StatusRequestTimeout || status == http.StatusGatewayTimeout:
		return "timeout_error"
	case status == http.StatusServiceUnavailable || status == adapter.StatusOverloaded:
		return "overloaded_error"
	case status == http.StatusConflict || status == http.StatusTooEarly || status < 400: // which may be tried again
		return "api_error"
	case status < 500:
		return "invalid_request_error"
	default:
		return "api_error"
	}
}

// Refusal returns an error in Anthropic's words in OpenAI's, by which the gateway judges what it means. status is what it came with; 0
// if it came in a 200. What is no such error, such as a page of HTML, is judged by its status.
func Refusal(status int, body []byte) adapter.ErrorResponse { return anthropic.Refusal(status, body) }

// IsError tells whether a body is Anthropic's error.
func IsError(body []byte) bool {
	if !json.Valid(body) {
		return false
	}
	root := gjson.ParseBytes(body)
	return root.Get("type").Str == "error" && root.Get("error.type").Type == gjson.String
}

// Said returns an error in OpenAI's words in Anthropic's. status is what it came with; 0 if it came in a 200. What is no such error
// returns nil.
func Said(status int, body []byte, requestID string) []byte {
	f, ok := read(body)
	if !ok {
		return nil
	}
	if status == 0 {
		status = adapter.StatusOf(f.code, f.kind)
	}
	return Envelope(status, f.code, f.words(), requestID)
}

// ErrorBody returns the body, in Anthropic's API, of an error in OpenAI's. Of one that is neither, or empty, it says as much as the status
// does; of a server's error without an explanation it returns nil.
func ErrorBody(status int, body []byte, requestID string) []byte {
	if said := Said(status, body, requestID); said != nil || status >= http.StatusInternalServerError {
		return said
	}
	return Said(status, chat.Unexplained(status).Body, requestID)
}

// A fault is what an error says in OpenAI's words.
type fault struct{ message, kind, code string }

// read reads an error: OpenAI's, or that of servers that have no envelope for it: a bare string, a message, or a detail.
func read(body []byte) (f fault, ok bool) {
	if !json.Valid(body) {
		return f, false
	}
	root := gjson.ParseBytes(body)
	e := root.Get("error")
	switch {
	case e.IsObject():
		f = fault{e.Get("message").String(), e.Get("type").String(), e.Get("code").String()}
	case e.Exists() && e.Type != gjson.Null:
		f.message = e.String()
	case root.Get("message").Exists() || root.Get("detail").Exists():
		f = fault{cmp.Or(root.Get("message").String(), root.Get("detail").String()), root.Get("type").String(), root.Get("code").String()}
	default:
		return f, false
	}
	return f, true
}

const unexplained = "The provider failed, and did not say why."

// words returns what the error says. What OpenAI tells by codes, and Anthropic has none for, Anthropic's clients know by its own words.
func (f *fault) words() string {
	said := strings.ToLower(f.message)
	has := func(words string) bool { return strings.Contains(said, words) }
	switch {
	case f.message == "":
		return unexplained
	case (f.code == "context_length_exceeded" || f.kind == "exceed_context_size_error" || has("maximum context length")) && !has("prompt is too long"):
		return "prompt is too long: " + f.message
	case (f.code == "model_not_found" || f.code == "DeploymentNotFound") && !has("model"):
		return "The model does not exist: " + f.message
	default:
		return f.message
	}
}
