package messages

import (
	"encoding/json"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/anthropic"
	"github.com/berrygate/berry/core/provider/chat"
	"github.com/berrygate/berry/core/provider/dialect"
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

// statusOverloaded is Anthropic's own.
const statusOverloaded = 529

func kindOf(status int, code string) string {
	switch {
	case code == "insufficient_quota":
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
	case status == http.StatusServiceUnavailable || status == statusOverloaded:
		return "overloaded_error"
	case status < 500:
		return "invalid_request_error"
	default:
		return "api_error"
	}
}

// Refusal returns an error in Anthropic's words in OpenAI's, by which the gateway judges what it means. status is what it came with; 0
// if it came in a 200. What is no such error, such as a page of HTML, is judged by its status.
func Refusal(status int, body []byte) dialect.Refusal { return anthropic.Refusal(status, body) }

// IsError tells whether a body is Anthropic's error.
func IsError(body []byte) bool {
	return json.Valid(body) && gjson.GetBytes(body, "error.type").Type == gjson.String
}

// Said returns an error in OpenAI's words in Anthropic's. It came with the status.
func Said(status int, body []byte, requestID string) []byte {
	e := openAIError{}
	if !chat.Decode(body, &e) || e.Error == nil {
		return nil
	}
	return Envelope(status, e.Error.code(), e.Error.Message, requestID)
}

// An openAIError is OpenAI's envelope.
type openAIError struct {
	Error *fault `json:"error"`
}

type fault struct {
	Message string          `json:"message"`
	Type    string          `json:"type"`
	Code    json.RawMessage `json:"code"` // some write a number
}

func (f *fault) code() string { return gjson.ParseBytes(f.Code).String() }
