// Package adapter is what all provider types have in common: an Adapter sends a client's call to one account; a Translator, for a provider
// with an API of its own, translates the bodies. Both are pure: they open no connections, and translate streams in constant memory.
package adapter

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// An Endpoint is the configuration of a provider, as an adapter needs it.
type Endpoint struct {
	Base       *url.URL    // absolute, without a slash at the end of its path
	Key        string      // the API key in the clear; "" if the provider needs none
	Headers    http.Header // sent with every request; override the client's and the adapter's
	APIVersion string      // for types that need one; "": the type's default
}

// A Call is one call of a client to one backend.
type Call struct {
	ID     string    // of the exchange
	Path   string    // below /v1, with a slash at its beginning, such as "/chat/completions"
	Model  string    // the provider's name
	Stream bool      // the client asked for a stream
	Began  time.Time // the date of responses without one
}

// An Adapter sends calls to one account. It is safe for concurrent use.
type Adapter interface {
	// Serves reports whether providers of this type serve calls with the path.
	Serves(path string) bool
	// SetTarget sets r's URL, its credentials and other headers that the provider needs.
	SetTarget(r *http.Request, c Call)
	// Check sets the target of r, a GET, to a call that shows that the account works: its list of models.
	Check(r *http.Request)
}

// A Translator is an Adapter for an API other than OpenAI's. It is safe for concurrent use.
type Translator interface {
	Adapter
	// Translate returns a client's body, a JSON object, in the provider's format, and the translator of the response. It does not keep body.
	// It fails with a *ParamError if the provider does not support a parameter, and with ctx's cause soon after ctx is done.
	Translate(ctx context.Context, c Call, body []byte) ([]byte, ResponseTranslator, error)
}

// A ResponseTranslator translates the response to one call into OpenAI's format, or that of another API that the client speaks. Errors have
// that API's format, too. It does not keep what it is given, and is not safe for concurrent use.
type ResponseTranslator interface {
	// Body translates a response that is not a stream. It fails if the body is not the API's, such as an HTML page. It translates an error
	// with status 200 like any other response.
	Body(body []byte) ([]byte, error)
	// Event appends to dst the events for one event of the provider's stream. It returns false if data is not JSON.
	Event(dst, data []byte) ([]byte, bool)
	// End appends the last events after the provider's stream has ended properly, or has sent OpenAI's [DONE]. It appends nothing if the
	// response is not complete, or if it has appended them before.
	End(dst []byte, done bool) []byte
	// Usage returns the tokens that the provider has reported so far.
	Usage() (input, output int64)
	// TranslateError translates a provider's error response into OpenAI's format, whatever the client's API. body may be anything.
	TranslateError(status int, body []byte) ErrorResponse
}

// An ErrorResponse is a provider's error in OpenAI's format.
type ErrorResponse struct {
	Status     int
	Body       []byte        // empty if it contains nothing for the client
	RetryAfter time.Duration // that the body asks for; 0 if it does not
	Page       bool          // the body is not the API's: an HTML page, or empty
}

// A ParamError reports that a request cannot be sent to providers of the type, though perhaps to others.
type ParamError struct {
	Param   string // such as messages[0].content
	Code    string // CodeInvalid, CodeUnsupported
	Message string // what is wrong and what to do
}

// The codes of a ParamError, as in OpenAI's API.
const (
	CodeInvalid     = "invalid_value"
	CodeUnsupported = "unsupported_parameter"
)

func (e *ParamError) Error() string { return e.Message }

// Invalid returns the error of an invalid parameter. The message follows its name.
func Invalid(param, format string, args ...any) *ParamError {
	return &ParamError{param, CodeInvalid, param + " " + fmt.Sprintf(format, args...)}
}

// Unsupported returns the error of a parameter, or of a value, that the provider does not support.
func Unsupported(param string) *ParamError {
	return &ParamError{param, CodeUnsupported, param + " cannot be expressed to the provider of this model; leave it out, or ask another model."}
}

// Join returns the URL of the path below base. The path is escaped, or needs no escaping.
func Join(base *url.URL, path string) *url.URL {
	u := *base
	u.RawPath = base.EscapedPath() + path
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		u.Path, u.RawPath = base.Path+path, ""
	}
	return &u
}
