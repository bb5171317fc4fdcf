package route

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
)

// Classify returns the failure that a provider's error response means, by the first of Classes that matches. The body is in OpenAI's format,
// as far as possible.
func Classify(a *core.Answer, c Call, now time.Time) *core.Failure {
	return read(a, c).failure(a, now)
}

// A Call is what Classify needs to know of the failed call.
type Call struct {
	Model string // the provider's name of the model that was asked
	Kept  bool   // it was for what the provider keeps, such as a file
}

// ClassifyError returns the failure that an error object within a response of status 200 means. It is classified by the status that its code
// or type would have had.
func ClassifyError(body []byte, header http.Header, c Call, now time.Time) *core.Failure {
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json") // an event's data has left its stream
	e := gjson.GetBytes(body, "error")
	a := &core.Answer{Status: adapter.StatusOf(e.Get("code").String(), e.Get("type").String()), Header: header, Body: body}
	s := read(a, c)
	s.within = true
	return s.failure(a, now)
}

// read parses a failed response.
func read(a *core.Answer, c Call) *providerError {
	s := &providerError{status: a.Status, page: a.Page, model: strings.ToLower(c.Model), kept: c.Kept}
	if !jsonx.Valid(a.Body) {
		kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		s.page = s.page || bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<")) || strings.EqualFold(strings.TrimSpace(kind), "text/html")
		return s
	}
	s.json = !a.Page
	root := gjson.ParseBytes(a.Body)
	if root.IsArray() { // as Google's gateways send it
		root = root.Get("0")
	}
	e := root.Get("error")
	if !e.IsObject() {
		e = root // as vLLM has it
	}
	s.api = !a.Page && (root.Get("error.message").Type == gjson.String || root.Get("object").Str == "error")
	s.code, s.kind = strings.ToLower(e.Get("code").String()), strings.ToLower(e.Get("type").String())
	s.reason = strings.ToLower(e.Get("details.#.reason|0").String())
	s.message = strings.ToLower(strings.TrimSpace(errorMessage(root)))
	return s
}

// failure returns the failure that the error means.
func (s *providerError) failure(a *core.Answer, now time.Time) *core.Failure {
	i := slices.IndexFunc(classes[:], func(c Class) bool { return c.is(s) }) // the last one takes all
	c := &classes[i]
	f := &core.Failure{
		Result: c.result, Status: s.status, Retryable: c.Moves, NoRepeat: c.NoRepeat, ContextExceeded: c.tooLong,
		Scope: c.Scope, Doubtful: c.Doubtful, AtOnce: c.Lasts == AtOnce, RefusedKey: c.key, ClientError: c.Client.clientError(),
		Err: fmt.Errorf("status %d", s.status),
	}
	f.RetryAfter, f.Asked = RetryAfter(a.Header, now)
	f.Asked = f.Asked && (c.Lasts == AtOnce || c.Lasts == ForRetryAfter)
	if c.Client.passes(s.status) {
		f.Answer = a
	}
	if c.reason != "" {
		f.Err = fmt.Errorf("status %d: %s", s.status, c.reason)
	}
	return f
}

// errorMessage returns the message of an error. vLLM sends it without an envelope, Ollama as a bare string.
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

// RetryAfter returns the time until the provider wants to be called again: Retry-After in seconds or as an HTTP date (RFC 9110, section
// 10.2.3), or OpenAI's retry-after-ms. It returns false if there is none, or an invalid one.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	const longest = 365 * 24 * time.Hour // bounds what an absurd number of seconds may overflow
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms >= 0 {
		return time.Duration(min(ms*float64(time.Millisecond), float64(longest))), true
	}
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s >= 0) {
			return 0, false
		}
		return time.Duration(min(s*float64(time.Second), float64(longest))), true
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), longest), true
	}
	return 0, false
}
