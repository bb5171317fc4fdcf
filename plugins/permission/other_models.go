package permission

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
)

// otherModels refuses to users who may use some models only a body that names another one beside its model, for the provider to ask it
// instead or as well. (plugins/auth/README.md lists the parameters.)
func (p *Plugin) otherModels(x *core.Exchange) error {
	if x.User.MayAll() || len(x.Body.Bytes) == 0 {
		return nil
	}
	var refused *core.Error
	core.ViewJSON(x.Body.Bytes).ForEach(func(key, value gjson.Result) bool {
		refused = p.parameter(x.User, strings.ToLower(key.Str), value) // other parsers fold case, too
		return refused == nil
	})
	if refused != nil {
		return refused
	}
	return nil
}

// parameter refuses a parameter of the body.
func (p *Plugin) parameter(u *core.User, name string, value gjson.Result) (refused *core.Error) {
	switch name {
	case "models", "fallbacks": // OpenRouter's and LiteLLM's: whom to ask if the model does not answer
		refused = p.names(u, name, value)
	case "tools": // some ask a model of their own: image_generation, advisor
		value.ForEach(func(_, tool gjson.Result) bool {
			refused = p.modelOf(u, "tools", tool)
			return refused == nil
		})
	case "route", "data_sources", "api_base", "base_url": // OpenRouter's router, Azure's own deployments, LiteLLM's other hosts
		if value.Type != gjson.Null {
			return notAllowed(name, "Your API key may use some models only, so it may not send %q, which can ask others.", name)
		}
	}
	return refused
}

// names refuses a list of models, by their names or as objects, of which the user may not use all.
func (p *Plugin) names(u *core.User, parameter string, list gjson.Result) (refused *core.Error) {
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
func (p *Plugin) modelOf(u *core.User, parameter string, object gjson.Result) (refused *core.Error) {
	object.ForEach(func(key, value gjson.Result) bool {
		if strings.EqualFold(key.Str, "model") && value.Type != gjson.Null {
			refused = p.name(u, parameter, value)
		}
		return refused == nil
	})
	return refused
}

// name refuses what is not the name of a model of the gateway that the user may use.
func (p *Plugin) name(u *core.User, parameter string, name gjson.Result) *core.Error {
	if m, err := p.catalog.Lookup(name.Str); name.Type == gjson.String && err == nil && u.May(m.Name) {
		return nil
	}
	return notAllowed(parameter, "Your API key may use some models only, and %q names another; GET /v1/models lists those that it may.", parameter)
}

func notAllowed(parameter, format, name string) *core.Error {
	return core.Invalid(http.StatusForbidden, core.CodeModelNotAllowed, parameter, format, name)
}
