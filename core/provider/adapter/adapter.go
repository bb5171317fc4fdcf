// Package adapter is what all types of providers have in common: a Dialect directs a client's call to one account, and a
// Translator, where a provider does not speak OpenAI's API, turns the bodies into its words and back. Both are pure: they
// open no connection, and streams pass through them in constant memory.
package adapter

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// An Endpoint is what a dialect needs to know of a provider in the config.
type Endpoint struct {
	Base       *url.URL    // absolute, without a slash at the end of its path
	Key        string      // the API key in the clear; empty if the provider wants none
	Headers    http.Header // sent with every request, over the client's and the dialect's own
	APIVersion string      // for types that want one; empty is the type's default
}

// A Call is what a client asks of one backend.
type Call struct {
	ID     string    // the exchange's
	Path   string    // below /v1, with a slash at its beginning, such as "/chat/completions"
	Model  string    // by the provider's name
	Stream bool      // the answer is wanted as a stream of events
	Began  time.Time // the date of answers that bear none
}

// An Adapter directs calls to one account. It is safe for concurrent use.
type Adapter interface {
	// Serves tells whether providers of this type answer calls with the path.
	Serves(path string) bool
	// SetTarget fills in r's URL, its credentials and what else its header needs.
	SetTarget(r *http.Request, c Call)
	// Check directs r, a GET, to what shows that the account works: its list of models.
	Check(r *http.Request)
}

// A Translator is a Dialect whose provider does not speak OpenAI's API. It is safe for concurrent use.
type Translator interface {
	Adapter
	// Translate returns a client's body, which is a JSON object, in the provider's words, and what translates the answer.
	// It keeps nothing of body. It fails with a *ParamError if the body says what the provider has no words for, and with ctx's cause soon
	// after ctx has ended.
	Translate(ctx context.Context, c Call, body []byte) ([]byte, ResponseTranslator, error)
}

// An ResponseTranslator translates the answer to one call into OpenAI's words, or into those of another API that the client speaks. It keeps
// nothing of what it is given, and is not safe for concurrent use. Errors that it writes are in that API's envelope.
type ResponseTranslator interface {
	// Body translates an answer that is no stream. It fails if that is none, such as a page of HTML. An error that came
	// with status 200 is translated like any other answer.
	Body(body []byte) ([]byte, error)
	// Event appends to dst the events for one of the provider's stream, of which data is the data. It returns false if that
	// is no JSON.
	Event(dst, data []byte) ([]byte, bool)
	// End appends what is still to say when the provider's stream has ended as it should, or has said OpenAI's terminal, [DONE]:
	// nothing, if it has not finished its answer, or if that has been said.
	End(dst []byte, done bool) []byte
	// Usage returns what the provider has reported so far, in tokens.
	Usage() (input, output int64)
	// TranslateError translates a provider's error, its status and body, which may be anything, into OpenAI's words, whatever the client speaks.
	TranslateError(status int, body []byte) ErrorResponse
}

// An ErrorResponse is a provider's error in OpenAI's words.
type ErrorResponse struct {
	Status     int
	Body       []byte        // empty if the provider has said nothing that a client should read
	RetryAfter time.Duration // for which the body asks to be left alone; 0 if it does not
	Page       bool          // what came is not the API's: a page of HTML, say, or nothing
}

// A ParamError is a request that a provider of the type cannot be asked, though another may.
type ParamError struct {
	Param   string // the request's parameter at fault, such as messages[0].content
	Code    string // CodeInvalid, CodeUnsupported
	Message string // what to do about it
}

// The codes of a ParamError, which are OpenAI's.
const (
	CodeInvalid     = "invalid_value"
	CodeUnsupported = "unsupported_parameter"
)

func (e *ParamError) Error() string { return e.Message }

// Invalid returns the error of a parameter that has not the form it must have. The message follows its name.
func Invalid(param, format string, args ...any) *ParamError {
	return &ParamError{param, CodeInvalid, param + " " + fmt.Sprintf(format, args...)}
}

// Unsupported returns the error of a parameter, or of a value of it, that has no counterpart.
func Unsupported(param string) *ParamError {
	return &ParamError{param, CodeUnsupported, param + " cannot be expressed to the provider of this model; leave it out, or ask another model."}
}

// Join returns the URL of the path below base. The path needs no escaping, or is escaped.
func Join(base *url.URL, path string) *url.URL {
	u := *base
	u.RawPath = base.EscapedPath() + path
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		u.Path, u.RawPath = base.Path+path, ""
	}
	return &u
}
