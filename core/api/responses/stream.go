package responses

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/sse"
	"github.com/berrygate/berry/core/upstream"
)

// providersFault reports whether a failed response might have succeeded with another provider, or at another time.
func providersFault(response gjson.Result) bool {
	switch response.Get("error.code").Str {
	case "server_error", "rate_limit_exceeded", "vector_store_timeout", "", "permission_error":
		return true
	default: // by the prompt's fault, or the operator's account's
		return route.ClassifyError(ErrorEnvelope([]byte(response.Raw)), nil, route.Call{}, time.Now()).Scope == upstream.ScopeAccount
	}
}

// stream parses a streamed response, which ends with an event that contains the ended response.
type stream struct {
	stored  bool // the response is older than the stream, and its tokens have been counted
	carried bool // an event has contained a part of the response
	held    int  // bytes of events before the first that did
	usage   api.Usage
	number  int64 // of the latest event
}

// Parse implements api.Stream.
func (p *stream) Parse(data []byte) api.EventKind {
	switch {
	case data == nil:
		return api.Comment
	case !jsonx.Valid(data): // including [DONE], which this API does not have
		return api.Malformed
	}
	event := jsonx.View(data)
	if n := event.Get("sequence_number"); n.Type == gjson.Number {
		p.number = n.Int()
	}
	if failed := event.Get("error"); failed.Exists() && failed.Type != gjson.Null {
		return api.Failure
	}
	if used := api.ReadUsage(event.Get("response.usage")); !p.stored && used != (api.Usage{}) { // even of a failed response
		p.usage = used
	}
	switch event.Get("type").Str {
	case "error":
		return api.Failure
	case "response.failed":
		if providersFault(event.Get("response")) {
			return api.Failure
		}
	case "response.completed", "response.incomplete":
	default:
		if p.held += len(data); !p.carried && !p.stored && opens(event) && p.held <= api.MaxHead {
			return api.Head
		}
		p.carried = true
		return api.Chunk
	}
	return api.Final
}

// opens reports whether an event only announces others. Of a response in the background it does not: the client needs its id to retrieve the
// rest.
func opens(event gjson.Result) bool {
	if event.Get("response.background").Bool() {
		return false
	}
	switch event.Get("type").Str {
	case "response.created", "response.queued", "response.in_progress", "response.content_part.added":
		return true
	case "response.output_item.added":
		kind := event.Get("item.type").Str
		return kind == "message" || kind == "reasoning"
	default:
		return false
	}
}

// Finished implements api.Stream. The last event contains the whole response, so nothing can be supplied.
func (p *stream) Finished() bool        { return false }
func (p *stream) TerminalEvent() []byte { return nil }
func (p *stream) Usage() api.Usage      { return p.usage }

// ErrorEvent implements api.Stream. OpenAI's documentation has the parts of an error beside its type, its events have them in "error";
// clients look for either.
func (p *stream) ErrorEvent(envelope []byte) []byte {
	failed := jsonx.View(envelope).Get("error")
	message := failed.Get("message").String()
	if failed.Type == gjson.String {
		message = failed.Str
	}
	part := func(name string) any { return failed.Get(name).Value() }
	data, err := json.Marshal(map[string]any{
		"type": "error", "code": part("code"), "message": message, "param": part("param"), "sequence_number": p.number + 1,
		"error": map[string]any{"type": part("type"), "code": part("code"), "message": message, "param": part("param")},
	})
	if err != nil { // valid JSON always marshals
		panic(err)
	}
	return sse.Append(nil, "error", data)
}

// ErrorEnvelope returns a copy of a response or event that reports an error, in the format of OpenAI's other APIs.
func ErrorEnvelope(data []byte) []byte {
	event := jsonx.View(data)
	failed := event // of an error event
	for _, at := range []string{"error", "response.error"} {
		if inner := event.Get(at); inner.IsObject() {
			failed = inner
			break
		}
	}
	kind := failed.Get("type").Str
	if kind == "" || kind == "error" {
		kind = apierror.TypeServer
	}
	return (&apierror.Error{
		Type: kind, Code: strings.Clone(failed.Get("code").String()), Param: strings.Clone(failed.Get("param").String()),
		Message: cmp.Or(strings.Clone(failed.Get("message").String()), "The provider failed."),
	}).Envelope()
}
