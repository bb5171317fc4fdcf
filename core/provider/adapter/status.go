package adapter

import (
	"net/http"
	"strconv"
)

// StatusOverloaded is Anthropic's own status for a server that has too much to do.
const StatusOverloaded = 529

// StatusOf returns the status that an error would have had that came within an answer, by its code, which may be a status itself, or
// else by its type, in the words of OpenAI and of those who speak as it does
// (https://platform.openai.com/docs/guides/error-codes). It is 500 if they say nothing.
func StatusOf(code, kind string) int {
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n < 600 {
		return n
	}
	for _, word := range []string{code, kind} {
		switch word {
		case "rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "tokens", "requests":
			return http.StatusTooManyRequests
		case "invalid_api_key", "authentication_error":
			return http.StatusUnauthorized
		case "billing_hard_limit_reached", "billing_not_active", "billing_error", "insufficient_balance", "insufficient_credits", "payment_required":
			return http.StatusPaymentRequired
		case "permission_error":
			return http.StatusForbidden
		case "model_not_found", "not_found", "not_found_error":
			return http.StatusNotFound
		case "request_too_large":
			return http.StatusRequestEntityTooLarge
		case "context_length_exceeded", "content_filter", "content_policy_violation", "invalid_request_error":
			return http.StatusBadRequest
		case "overloaded_error":
			return http.StatusServiceUnavailable
		case "timeout", "timeout_error":
			return http.StatusGatewayTimeout
		}
	}
	return http.StatusInternalServerError
}
