// Package permission is the stage that finds the requested model and checks that the user may use it.
package permission

import (
	"context"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/core/othermodels"
)

// Plugin is the stage "permission".
type Plugin struct{ catalog *core.Catalog }

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage for the models of the catalog.
func New(catalog *core.Catalog) *Plugin { return &Plugin{catalog} }

// Handle reads the body and sets x.Model. It rejects a body without a model (400), an unknown model (404), and a model that the user may not
// use, also one that the body names in another place (403).
func (p *Plugin) Handle(_ context.Context, x *core.Exchange) error {
	if err := p.catalog.Resolve(x); err != nil {
		return err
	}
	if x.Model.ProviderID != "" {
		return mayFiles(x)
	}
	if x.Operation.Path == core.Realtime && x.Passthrough.Query.Has(core.SessionCall) && !x.User.MayAll() {
		return apierror.Invalid(http.StatusForbidden, apierror.CodeModelNotAllowed, core.SessionCall,
			"Your API key may use some models only, and which one answers in a call is not known here; open a session without %s.", core.SessionCall)
	}
	if x.User.May(x.Model.Name) {
		return p.checkOtherModels(x)
	}
	return apierror.Invalid(http.StatusForbidden, apierror.CodeModelNotAllowed, "model",
		"Your API key may not use the model %q; GET /v1/models lists those that it may.", x.Model.Name)
}

// checkOtherModels rejects the body of a user who may use some models only if it names another one beside its model.
func (p *Plugin) checkOtherModels(x *core.Exchange) error {
	if x.User.MayAll() || len(x.Body.Bytes) == 0 {
		return nil
	}
	may := othermodels.Check(func(name string) bool {
		m, err := p.catalog.Lookup(name)
		return err == nil && x.User.May(m.Name)
	})
	if err := may.Body(jsonx.View(x.Body.Bytes)); err != nil {
		return err
	}
	return nil
}

// mayFiles rejects calls to an account's files and batches of users who may use some models only: a batch could request the others.
func mayFiles(x *core.Exchange) error {
	if x.User.MayFiles(x.Model.ProviderID) {
		return nil
	}
	return apierror.Invalid(http.StatusForbidden, apierror.CodeProviderNotAllowed, core.ProviderHeader,
		"Your API key may not use this provider's files and batches, since it may use some models only; the operator allows it with files_provider.")
}
