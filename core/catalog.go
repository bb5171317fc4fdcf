package core

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
)

// A Catalog is the enabled models by the names that clients use. It is immutable and safe for concurrent use.
type Catalog struct {
	models   map[string]*Model
	accounts []*Model
}

// NewCatalog returns the catalog of models, whose names differ, and of those that stand for accounts.
func NewCatalog(models, accounts []*Model) *Catalog {
	c := &Catalog{make(map[string]*Model, len(models)), accounts}
	for _, m := range models {
		c.models[m.Name] = m
	}
	return c
}

// Models returns the models, sorted by name.
func (c *Catalog) Models() []*Model {
	return slices.SortedFunc(maps.Values(c.models), func(a, b *Model) int { return cmp.Compare(a.Name, b.Name) })
}

// Lookup returns the model with the client-facing name, or a model_not_found error.
func (c *Catalog) Lookup(name string) (*Model, error) {
	if m := c.models[name]; m != nil {
		return m, nil
	}
	return nil, ModelNotFound(name)
}

// ModelNotFound returns the error for a model that does not exist, or whose existence must not be revealed.
func ModelNotFound(name string) *apierror.Error {
	return apierror.Invalid(http.StatusNotFound, apierror.CodeModelNotFound, "model",
		"The model %q does not exist; GET /v1/models lists those that you can use.", clip(name))
}

// A Resolver finds the model of an exchange whose operation does not name it in a JSON body, and sets x.Model and x.Body.
type Resolver interface {
	Resolve(c *Catalog, x *Exchange) error
}

// Resolve reads the exchange's body and sets x.Body and x.Model. The first stage that needs them calls it; further calls do nothing.
func (c *Catalog) Resolve(x *Exchange) error {
	if x.Model != nil {
		return nil
	}
	if x.Place != nil {
		if err := x.Place.Arrive(); err != nil {
			return err
		}
	}
	if err := c.resolve(x); err != nil || x.Place == nil {
		return err
	}
	return x.Place.Enter(x.Body.Upload == nil || x.Body.Upload.Complete())
}

func (c *Catalog) resolve(x *Exchange) error {
	r := x.Operation.Resolver
	if r == nil {
		return c.resolveBody(x)
	}
	if err := r.Resolve(c, x); err != nil || x.Passthrough == nil || x.Body.Upload != nil {
		return err
	}
	return body.Discard(x.source())
}

// resolveBody finds the model in the JSON body.
func (c *Catalog) resolveBody(x *Exchange) error {
	raw, err := body.Read(x.source())
	if err != nil {
		return err
	}
	end, err := x.Turns.Take(x.Request.Context(), x.UserID(), len(raw))
	if err != nil {
		return apierror.Interrupted(fmt.Errorf("wait to parse the request body: %w", err))
	}
	x.Body, err = body.Parse(raw)
	end()
	if err != nil {
		return err
	}
	x.Body.Stream = x.Body.Stream || x.Body.SpeechEvents && x.Operation.Media
	if path := x.Operation.Protocol.EndUser(); path != "user" { // which body.Parse has read
		x.Body.User = gjson.GetBytes(raw, path).Str
	}
	x.Model, err = c.Lookup(x.Body.Model)
	return err
}

// clip shortens a client's text for an error message.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
