package route

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/provider/dialect"
	"github.com/berrygate/berry/sdk/abi"
)

// Classify says what a provider's answer other than a 2xx means for the exchange. The answer's body is in OpenAI's shape,
// as far as it has one.
func Classify(a *core.Answer, now time.Time) *core.Failure {
	f := &core.Failure{
		Result: abi.ServerError, Retryable: true, Answer: a, RetryAfter: RetryAfter(a.Header, now),
		Err: fmt.Errorf("status %d", a.Status),
	}
	switch s := a.Status; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		f.Result = abi.AuthRefused
		f.Answer = nil // it may quote the key
	case s == http.StatusTooManyRequests:
		f.Result = abi.RateLimited
	case s == http.StatusRequestTimeout || s == http.StatusConflict || s == http.StatusTooEarly:
		f.Result = abi.ClientError
	case s == http.StatusNotFound:
		f.Result = abi.ClientError
		f.Retryable = modelMissing(a.Body)
	case s >= 400 && s < 500:
		f.Result, f.Retryable, f.TooLong = abi.ClientError, false, tooLong(a)
	}
	return f
}

// tooLong tells whether a refusal says that the prompt is longer than the model takes: by OpenAI's code or llama.cpp's type, or
// by the words of the servers that have neither.
func tooLong(a *core.Answer) bool {
	if a.Status != http.StatusBadRequest && a.Status != http.StatusRequestEntityTooLarge || !core.ValidJSON(a.Body) {
		return false
	}
	root := gjson.ParseBytes(a.Body)
	if root.Get("error.code").String() == "context_length_exceeded" || root.Get("error.type").String() == "exceed_context_size_error" {
		return true
	}
	m := strings.ToLower(errorMessage(root))
	return strings.Contains(m, "maximum context length") || strings.Contains(m, "prompt is too long")
}

// ClassifyError says what the error object means that stands in body where an answer should be, under status 200: an
// error is judged by the status that its code or type would have had.
func ClassifyError(body []byte, header http.Header, now time.Time) *core.Failure {
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json") // an event's data has left its stream
	e := gjson.GetBytes(body, "error")
	status := dialect.StatusOf(e.Get("code").String(), e.Get("type").String())
	return Classify(&core.Answer{Status: status, Header: header, Body: body}, now)
}

// modelMissing tells whether a 404's body says that the model, not the path, is unknown there.
func modelMissing(body []byte) bool {
	if !core.ValidJSON(body) {
		return false
	}
	root := gjson.ParseBytes(body)
	switch root.Get("error.code").String() {
	case "model_not_found", "DeploymentNotFound": // OpenAI's and Azure's
		return true
	}
	m := strings.ToLower(errorMessage(root))
	return strings.Contains(m, "model") && (strings.Contains(m, "not found") || strings.Contains(m, "does not exist"))
}

// errorMessage returns the message of an error's JSON. vLLM sends it without an envelope, Ollama as a bare string.
func errorMessage(root gjson.Result) string {
	switch e := root.Get("error"); {
	case e.Type == gjson.String:
		return e.Str
	case e.Get("message").Exists():
		return e.Get("message").String()
	default:
		return root.Get("message").String()
	}
}

// RetryAfter reads at now how long a provider asks to be left alone: Retry-After in seconds or as an HTTP date (RFC 9110,
// section 10.2.3), or OpenAI's retry-after-ms. It returns 0 if there is none that can be understood.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	const longest = 365 * 24 * time.Hour // bounds what an absurd number of seconds may overflow
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(min(ms*float64(time.Millisecond), float64(longest)))
	}
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s > 0) {
			return 0
		}
		return time.Duration(min(s*float64(time.Second), float64(longest)))
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), longest)
	}
	return 0
}
