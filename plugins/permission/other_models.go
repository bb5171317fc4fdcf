package permission

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
)

// otherModels refuses to users who may use some models only a body that names another one beside its model, for the provider to ask it
// instead or as well. (plugins/auth/README.md lists the parameters.)
func (p *Plugin) otherModels(x *core.Exchange) error {
	if x.User.MayAll() || len(x.Body.Bytes) == 0 {
		return nil
	}
	var refused *apierror.Error
	jsonx.View(x.Body.Bytes).ForEach(func(key, value gjson.Result) bool {
		refused = p.parameter(x.User, core.Fold(key.Str), value)
		return refused == nil
	})
	if refused != nil {
		return refused
	}
	return nil
}

// parameter refuses a parameter of the body.
func (p *Plugin) parameter(u *core.User, name string, value gjson.Result) (refused *apierror.Error) {
	switch name {
	case "models", "fallbacks": // OpenRouter's and LiteLLM's: whom to ask if the model does not answer
		refused = p.names(u, name, value)
	case "tools": // some ask a model of their own: image_generation, advisor
		return p.within(u, name, value, 0)
	default:
		if value.Type != gjson.Null && core.AsksOthers(name) {
			return notAllowed(name, "Your API key may use some models only, so it may not send %q, which can ask others.", name)
		}
	}
	return refused
}

// names refuses a list of models, by their names or as objects, of which the user may not use all.
func (p *Plugin) names(u *core.User, parameter string, list gjson.Result) (refused *apierror.Error) {
	if list.Type == gjson.Null {
		return nil
	}
	if !list.IsArray() {
		return p.name(u, parameter, list)
	}
	list.ForEach(func(_, item gjson.Result) bool {
		if item.IsObject() {
			refused = p.modelOf(u, parameter, item)
		} else {
			refused = p.name(u, parameter, item)
		}
		return refused == nil
	})
	return refused
}

// modelOf refuses an object whose model the user may not use.
func (p *Plugin) modelOf(u *core.User, parameter string, object gjson.Result) (refused *apierror.Error) {
	object.ForEach(func(key, value gjson.Result) bool {
		if strings.EqualFold(key.Str, "model") && value.Type != gjson.Null {
			refused = p.name(u, parameter, value)
		}
		return refused == nil
	})
	return refused
}

// within refuses a value in which, at the depth or a little deeper, something names a model that the user may not use. A function's own
// parameters may be called so.
func (p *Plugin) within(u *core.User, parameter string, v gjson.Result, depth int) (refused *apierror.Error) {
	const deepest = 4
	if v.IsObject() {
		refused = p.modelOf(u, parameter, v)
	}
	if v.Type != gjson.JSON || depth == deepest || refused != nil {
		return refused
	}
	v.ForEach(func(key, inner gjson.Result) bool {
		switch strings.ToLower(key.Str) {
		case "function", "parameters", "input_schema":
		default:
			refused = p.within(u, parameter, inner, depth+1)
		}
		return refused == nil
	})
	return refused
}

// name refuses what is not the name of a model of the gateway that the user may use.
func (p *Plugin) name(u *core.User, parameter string, name gjson.Result) *apierror.Error {
	if m, err := p.catalog.Lookup(name.Str); name.Type == gjson.String && err == nil && u.May(m.Name) {
		return nil
	}
	return notAllowed(parameter, "Your API key may use some models only, and %q names another; GET /v1/models lists those that it may.", parameter)
}

func notAllowed(parameter, format, name string) *apierror.Error {
	return apierror.Invalid(http.StatusForbidden, apierror.CodeModelNotAllowed, parameter, format, name)
}
