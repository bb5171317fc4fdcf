package core

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
)

// ProviderHeader is the header in which a client names the provider that stores its files.
const ProviderHeader = "X-Berry-Provider"

// AccountCall finds the provider of a call to an account, not to a model, such as one for a file: by the client's header, else by the user's
// files_provider, else because only one provider serves the call. The body passes unchanged.
type AccountCall struct{}

// A Passthrough is a call whose body names no model: it goes to the provider that stores what it names.
type Passthrough struct {
	Path  string     // at the provider, below /v1
	Query url.Values // the client's, as far as they pass
}

// Resolve implements Resolver.
func (AccountCall) Resolve(c *Catalog, x *Exchange) error {
	path := strings.TrimPrefix(x.Request.URL.Path, "/v1")
	if !isPlain(path) || strings.Count(path, "/") != strings.Count(x.Operation.Path, "/") || strings.Contains(path, "//") {
		return apierror.Invalid(http.StatusNotFound, apierror.CodeNotFound, "", "There is nothing at this path; ids have letters, digits, dashes and underscores alone.")
	}
	m, err := c.account(x)
	if err != nil {
		return err
	}
	x.Passthrough = &Passthrough{path, passedQuery(x.Request)}
	if x.Request.ContentLength != 0 {
		if x.Body.Upload, err = body.NewUpload(x.source(), x.Request.Header.Get("Content-Type"), nil); err != nil {
			return err
		}
	}
	x.Model = m
	return nil
}

// passedQuery returns the client's query parameters that the provider receives: the API's own, but no credentials and no version of the API.
func passedQuery(r *http.Request) url.Values {
	q := r.URL.Query()
	for name := range q {
		switch name {
		case "include", "include[]", "include_obfuscation", "stream", "starting_after", "limit", "order", "after", "before", "purpose":
		default:
			q.Del(name)
		}
	}
	return q
}

// isPlain reports whether all parsers read the path in the same way.
func isPlain(path string) bool {
	for _, r := range path {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '/' {
			return false
		}
	}
	return true
}

// account returns the model that stands for the account of the exchange's call.
func (c *Catalog) account(x *Exchange) (*Model, error) {
	name := x.Request.Header.Get(ProviderHeader)
	if name != "" && !x.User.MayFiles(name) { // the error must not reveal that the provider exists
		return nil, unknownProvider(http.StatusNotFound, name, x)
	}
	if name == "" && x.User != nil {
		name = x.User.FilesProvider
	}
	var able []*Model
	for _, m := range c.accounts {
		if !m.Backends[0].Serves(x.Operation.Path) {
			continue
		}
		if m.ProviderID == name {
			return m, nil
		}
		able = append(able, m)
	}
	switch {
	case name != "":
		return nil, unknownProvider(http.StatusBadRequest, name, x)
	case len(able) == 0:
		return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeNotServed, "", "No provider of this gateway serves %s.", x.Operation.Path)
	case len(able) > 1:
		return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeAmbiguousProvider, ProviderHeader,
			"Several providers serve %s; name one in the header %s, or have the operator set files_provider for your user.", x.Operation.Path, ProviderHeader)
	}
	return able[0], nil
}

func unknownProvider(status int, name string, x *Exchange) *apierror.Error {
	return apierror.Invalid(status, apierror.CodeUnknownProvider, ProviderHeader,
		"No provider %q serves %s; name another in the header %s, or ask the operator which there are.", clip(name), x.Operation.Path, ProviderHeader)
}
