package dialect

import (
	"net/http"
	"strconv"
)

// StatusOf returns the status that an error would have had that came within an answer, by its code, which may be a status itself, or
// else by its type, in the words of OpenAI and of those who speak as it does
// (https://platform.openai.com/docs/guides/error-codes). It is 500 if they say nothing.
func StatusOf(code, kind string) int {
	// A flagged prompt is a 403 at some; it is not the key's fault.
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n < 600 && n != http.StatusForbidden {
		return n
	}
	for _, word := range []string{code, kind} {
		switch word {
		case "rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "tokens", "requests":
			return http.StatusTooManyRequests
		case "invalid_api_key", "authentication_error", "permission_error":
			return http.StatusUnauthorized
		case "model_not_found":
			return http.StatusNotFound
		case "context_length_exceeded", "content_filter", "invalid_request_error":
			return http.StatusBadRequest
		case "overloaded_error":
			return http.StatusServiceUnavailable
		case "timeout":
			return http.StatusGatewayTimeout
		}
	}
	return http.StatusInternalServerError
}
