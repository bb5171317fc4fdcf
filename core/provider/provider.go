// Package provider speaks the dialects of LLM providers, a folder for each type. A dialect turns an OpenAI request into
// the provider's own.
//
// Adding a type means adding its folder and its line in New and Types.
package provider

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/berrygate/berry/core/provider/openai"
)

// An Account is what a dialect needs to know of a provider in the config.
type Account struct {
	BaseURL string      // absolute; what a request's path is appended to
	Key     string      // the API key in the clear; empty if the provider wants none
	Headers http.Header // sent with every request, over the client's
}

// A Dialect directs requests to one account. It is safe for concurrent use.
type Dialect interface {
	// Direct fills in r's URL and its credentials for path, which starts with a slash and stands below /v1, such as
	// "/chat/completions".
	Direct(r *http.Request, path string)
}

// Types returns the names of the types that New knows.
func Types() []string { return []string{openai.Type} }

// New returns the dialect of the type for the account. It fails if the type is unknown or the account's base URL is none.
func New(typ string, a Account) (Dialect, error) {
	base, err := url.Parse(a.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("provider: base URL: %w", err)
	}
	if typ == openai.Type {
		return openai.New(base, a.Key, a.Headers), nil
	}
	return nil, fmt.Errorf("provider: no type %q", typ)
}
