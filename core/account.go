package core

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
)

// ProviderHeader is the header in which a client names the provider that keeps its files.
const ProviderHeader = "X-Berry-Provider"

// AccountCall finds the provider of a call that no model answers but an account, such as one for a file that is kept there: by the
// client's header, else by the config's files_provider of the user, else because there is one only. Its body passes as it is.
type AccountCall struct{}

// An Passthrough is a call whose body names no model: it goes to who keeps what it names, or has no body at all.
type Passthrough struct {
	Path  string     // at the provider, below /v1
	Query url.Values // what passes of the client's
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

// passedQuery returns what a provider gets of the query of a call that passes onward: the API's own parameters, nothing that could be
// a credential or name another version of the API.
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

// isPlain tells whether the path is made of such characters that everybody reads it in the same way.
func isPlain(path string) bool {
	for _, r := range path {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '/' {
			return false
		}
	}
	return true
}

// account returns the model that stands for the account which the exchange's call is for.
func (c *Catalog) account(x *Exchange) (*Model, error) {
	name := x.Request.Header.Get(ProviderHeader)
	if name != "" && !x.User.MayFiles(name) { // whether there is such a provider is not theirs to know
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
