// Package api is what clients speak: a Protocol for each API, and what the gateway reads of its responses and streams. The packages below it
// implement the protocols; endpoints is the table of calls.
package api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api/capture"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/provider/adapter"
)

// A Protocol is an API that clients speak. core/api has a package for each: openai, responses, anthropic. It has no state and is safe for
// concurrent use.
type Protocol interface {
	// Key returns the API key of a request, or a missing_api_key error.
	Key(h http.Header) (string, *apierror.Error)
	// RequestID returns the name of a response header, beside X-Request-Id, in which clients look for the request's id; "" if there is none.
	RequestID() string
	// EndUser returns the path, in gjson's syntax, at which a request body names the caller's own end user.
	EndUser() string

	// Serves reports whether a provider can answer a call of the path, perhaps after translation.
	Serves(to adapter.Adapter, path string) bool
	// Target returns the adapter that sends a call of the path to a provider, and the translator of its bodies; nil if they pass unchanged.
	Target(to adapter.Adapter, path string) (adapter.Adapter, adapter.Translator)
	// Headers returns the client's headers that a provider of this API receives, in canonical form, if nothing is translated.
	Headers() []string

	// NewStream returns a parser for a streamed response.
	NewStream(o StreamOptions) Stream
	// Event returns an event of a stream.
	Event(data []byte) []byte
	// Usage returns the tokens that a response reports.
	Usage(response gjson.Result) Usage
	// IsError reports whether a JSON response with status 200 is an error. stored says that it answers a request for a stored response.
	IsError(response []byte, stored bool) bool
	// HasIDs reports whether responses have ids that are the gateway's for a client, so that Rename replaces them.
	HasIDs() bool
	// Rename returns the edits that give a response, or an event's data, the client's names.
	Rename(response gjson.Result, n Names) []jsonx.Edit

	// ErrorBody returns the body of the gateway's own error.
	ErrorBody(e *apierror.Error, requestID string) []byte
	// ReadError returns a provider's error, which has this API's format, in OpenAI's. status is 0 for an error within a successful response, and
	// then also in the result if the API's errors do not tell one.
	ReadError(status int, body []byte) adapter.ErrorResponse
	// WriteError returns an error in OpenAI's format in this API's. original is the provider's own, if that has this API's format already.
	WriteError(status int, body, original []byte, requestID string) []byte

	// Models returns the response that lists the models, whose names are sorted, or the page of it that the query asks for. created is when the
	// gateway started.
	Models(names []string, query url.Values, created time.Time) (any, *apierror.Error)
	// Model returns the response that describes one model.
	Model(name string, created time.Time) any

	// DescribeRequest adds what a trace shows of a request body.
	DescribeRequest(body gjson.Result, d *Description)
	// Describe adds what a trace shows of a response or of an event's data.
	Describe(response []byte, d *Description)
}

// StreamOptions say what a stream answers.
type StreamOptions struct {
	Terminal   string // the type of the stream's last event; "" is [DONE]
	Translated bool   // by the gateway
	Stored     bool   // the response is older than the stream, and its tokens have been counted
}

// Names are a client's names for what a provider calls otherwise.
type Names struct {
	Model  string                       // "" leaves the provider's
	ID     func(provider string) string // of a response
	Stored *Stored                      // the response that the request names; nil if none
}

// A Stored is a response that a provider stores, by its two ids.
type Stored struct {
	GatewayID  string // the client's
	ProviderID string
}

// A Description is what a trace shows of an exchange, by the GenAI conventions. Texts are collected only if Output is not nil.
type Description struct {
	API          string // of OpenAI's, if it is not the usual one
	Conversation string
	Instructions string // JSON; "" if not captured
	Input        string // JSON; "" if not captured

	ID, Model string // of the response
	Finish    []string
	Output    *capture.Output

	Limit int  // bytes of text to capture of each direction; 0 captures none
	Begun bool // a response, or an event of one, has been described
}

// Limits of what a Description takes from a provider or a client, in bytes; and of finish reasons.
const (
	maxName   = 200
	maxReason = 50
	maxFinish = 16
)

// SetName sets an id or a model, unless it is set, to a copy of a string.
func SetName(to *string, value gjson.Result) {
	if *to == "" && value.Type == gjson.String {
		*to = copied(value.Str, maxName)
	}
}

// AddFinish adds a finish reason.
func (d *Description) AddFinish(reason string) {
	if len(d.Finish) < maxFinish {
		d.Finish = append(d.Finish, finishReason(reason))
	}
}

// finishReason returns a copy of a finish reason. It does not copy OpenAI's, which most are.
func finishReason(s string) string {
	for _, known := range [...]string{"stop", "length", "tool_calls", "content_filter"} {
		if s == known {
			return known
		}
	}
	return copied(s, maxReason)
}

// copied returns a copy of the beginning of s: s may be part of a buffer that is used again.
func copied(s string, n int) string { return strings.Clone(jsonx.Truncate(s, n)) }
