package core

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/responseid"
	"github.com/berrygate/berry/sdk/abi"
)

// NewResponse finds the model of a request for a new response, in the body. A response that continues a stored one goes to the provider that
// stores it.
type NewResponse struct{}

// Resolve implements Resolver.
func (NewResponse) Resolve(c *Catalog, x *Exchange) error {
	if err := c.resolveBody(x); err != nil {
		return err
	}
	if _, ok := jsonx.Unique(jsonx.View(x.Body.Bytes), "conversation"); !ok {
		return apierror.Ambiguous(http.StatusBadRequest, apierror.CodeInvalidJSON, "conversation")
	}
	const key = "previous_response_id"
	previous, ok := jsonx.Unique(jsonx.View(x.Body.Bytes), key)
	switch {
	case !ok:
		return apierror.Ambiguous(http.StatusBadRequest, apierror.CodeInvalidJSON, key)
	case !previous.Exists() || previous.Type == gjson.Null:
		return nil
	case previous.Type != gjson.String:
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, key, "%q must be a string.", key)
	}
	id, made, _ := c.open(previous.Str, x.UserID())
	if made == nil {
		return responseNotFound(previous.Str, key)
	}
	keeps := func(b *Backend) bool { return b.Upstream == made.Upstream }
	if !slices.ContainsFunc(x.Model.Backends, keeps) { // any model of its provider can continue it
		keeps = func(b *Backend) bool { return b.Upstream.Provider == made.Upstream.Provider }
	}
	if x.Model = x.Model.only(keeps); len(x.Model.Backends) == 0 {
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidModel, "model",
			"The model %q is not served by who has the previous response; ask the model that made it.", x.Model.Name)
	}
	x.Stored = &api.Stored{GatewayID: previous.String(), ProviderID: id}
	x.Body.ReplaceString(previous, id)
	return nil
}

// StoredResponse finds the model of a call that names a stored response in its path, by the id.
type StoredResponse struct{}

// Resolve implements Resolver.
func (StoredResponse) Resolve(c *Catalog, x *Exchange) error {
	id, _, _ := strings.Cut(strings.TrimPrefix(x.Request.URL.Path, "/v1/responses/"), "/")
	theirs, made, model := c.open(id, x.UserID())
	if made == nil {
		return responseNotFound(id, "")
	}
	x.Model = model.only(func(b *Backend) bool { return b == made })
	x.Stored = &api.Stored{GatewayID: id, ProviderID: theirs}
	x.Passthrough = &Passthrough{Path: strings.Replace(x.Operation.Path, "{id}", theirs, 1), Query: passedQuery(x.Request)}
	x.Body.Stream = x.Request.Method == http.MethodGet && x.Request.URL.Query().Get("stream") == "true"
	return nil
}

// open returns the provider's id of the user's response, the backend that made it and the model. It returns nils for an id that the gateway
// did not make for the user, or whose backend is gone.
func (c *Catalog) open(id, user string) (theirs string, made *Backend, model *Model) {
	s, ok := responseid.Parse(id)
	if !ok {
		return "", nil, nil
	}
	for _, m := range c.models {
		if abi.Hash(m.Name) != s.Model {
			continue
		}
		for _, b := range m.Backends {
			if b.Upstream.ID == s.Upstream && b.Stored.Confirms(s, user) {
				return s.ID, b, m
			}
		}
	}
	return "", nil, nil
}

func responseNotFound(id, param string) *apierror.Error {
	return apierror.Invalid(http.StatusNotFound, apierror.CodeResponseNotFound, param,
		"There is no response %q; send the id of one that was stored for your API key, and not deleted since.", clip(id))
}

// ResponseID returns the client's id of a response, whose id at the attempt's backend is theirs.
func (x *Exchange) ResponseID(b *Backend, theirs string) string {
	if x.Stored != nil && x.Stored.ProviderID == theirs {
		return x.Stored.GatewayID
	}
	ours, ok := b.Stored.Mint(responseid.Origin{Upstream: b.Upstream.ID, Model: abi.Hash(x.Model.Name), ID: theirs}, x.UserID())
	if !ok {
		return theirs // too long to be signed: the client can read the response, but not retrieve it
	}
	return ours
}

// only returns the model with those backends that keep selects.
func (m *Model) only(keep func(*Backend) bool) *Model {
	few := *m
	few.Backends = nil
	for _, b := range m.Backends {
		if keep(b) {
			few.Backends = append(few.Backends, b)
		}
	}
	return &few
}
