// Package othermodels finds the models that a request names beside the one in "model": providers such as OpenRouter, LiteLLM, Groq and Azure
// use them instead, or as well. A user with allowed_models may name only those there. (plugins/auth/README.md lists the parameters.)
package othermodels

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/jsonx"
)

// A Check rejects requests that name a model which the user may not use. The function reports whether the user may use the model.
type Check func(model string) bool

// deepest is how deep parameters within tools are looked at; no API nests them deeper.
const deepest = 8

// Body returns the error of a request body that names another model; nil if there is none.
func (may Check) Body(body gjson.Result) (err *apierror.Error) {
	body.ForEach(func(key, value gjson.Result) bool {
		err = may.parameter(key.Str, value, 0)
		return err == nil
	})
	return err
}

// Event returns the error of a client's event in a realtime session that names another model; nil if there is none.
func (may Check) Event(event gjson.Result) (err *apierror.Error) {
	event.ForEach(func(key, value gjson.Result) bool {
		if name := fold(key.Str); name == "session" || name == "response" {
			err = may.within(clip(lower(key.Str)), value, 0)
		}
		return err == nil
	})
	return err
}

// Part reports whether a part of a form, by its name up to a bracket, may name other models. Its value is not looked at.
func Part(name string) bool {
	name, _, _ = strings.Cut(fold(name), ".")
	return name != "model" && (namesModels(name) || asksOthers(name) || slices.Contains([]string{"plugins", "tools", "extrabody", "provideroptions"}, name))
}

// parameter checks a parameter of the body.
func (may Check) parameter(key string, value gjson.Result, depth int) (err *apierror.Error) {
	shown := clip(lower(key))
	switch name := fold(key); {
	case name == "model" && depth == 0:
		return nil // which the gateway replaces
	case strings.ContainsRune(key, 0): // at which some parsers end a key
		return notAllowed(shown, "Your API key may use some models only, so it may not send %q, which can be read as another parameter.", shown)
	case name == "tools", name == "plugins", name == "provideroptions": // the latter is Vercel's
		return may.within(shown, value, 0)
	case name == "input":
		return may.input(value)
	case name == "extrabody" && depth < deepest: // the OpenAI clients merge it into the body
		value.ForEach(func(key, inner gjson.Result) bool {
			err = may.parameter(key.Str, inner, depth+1)
			return err == nil
		})
		return err
	case namesModels(name):
		return may.models(shown, value)
	case asksOthers(name) && !isBlank(value):
		return notAllowed(shown, "Your API key may use some models only, so it may not send %q, which can select others.", shown)
	}
	return nil
}

// input checks the tools that items of a response's input add.
func (may Check) input(value gjson.Result) (err *apierror.Error) {
	value.ForEach(func(_, item gjson.Result) bool {
		if item.IsObject() {
			item.ForEach(func(key, inner gjson.Result) bool {
				if fold(key.Str) == "tools" {
					err = may.within("input", inner, 0)
				}
				return err == nil
			})
		}
		return err == nil
	})
	return err
}

// models checks a model, or a list of models by name or as objects.
func (may Check) models(parameter string, value gjson.Result) (err *apierror.Error) {
	switch {
	case isBlank(value), value.Type == gjson.String && may(value.Str):
		return nil
	case value.IsObject() && isEntry(value):
		return may.within(parameter, value, 0)
	case !value.IsArray():
		return notAllowed(parameter, "Your API key may use some models only, and %q names another; GET /v1/models lists yours.", parameter)
	}
	value.ForEach(func(_, item gjson.Result) bool {
		if item.IsArray() { // of lists there is none
			err = notAllowed(parameter, "%q must be a list of models.", parameter)
		} else {
			err = may.models(parameter, item)
		}
		return err == nil
	})
	return err
}

// isEntry reports whether a list's object names its model as OpenRouter and Anthropic do. (LiteLLM's are keyed by models.)
func isEntry(object gjson.Result) bool {
	model, ok := jsonx.Unique(object, "model")
	return ok && model.Exists()
}

// within checks tools, plugins and sessions: all their keys that name models, at any depth.
func (may Check) within(parameter string, value gjson.Result, depth int) (err *apierror.Error) {
	if value.Type != gjson.JSON || depth > deepest {
		return nil
	}
	free := freeForm
	if value.IsObject() && isFunction(value) {
		free = append(slices.Clip(free), "function", "parameters", "custom")
	}
	object := value.IsObject()
	value.ForEach(func(key, inner gjson.Result) bool {
		name := fold(key.Str)
		switch {
		case object && slices.Contains(free, name):
		case object && namesModels(name):
			err = may.models(parameter, inner)
		case object && asksOthers(name) && !isBlank(inner):
			err = notAllowed(parameter, "Your API key may use some models only, so it may not send %q with a parameter that can select others.", parameter)
		default:
			err = may.within(parameter, inner, depth+1)
		}
		return err == nil
	})
	return err
}

// freeForm are the members of a tool whose keys are the user's own.
var freeForm = []string{"inputschema", "outputschema", "inputexamples", "headers", "metadata", "properties", "variables"}

// isFunction reports whether a tool is called by the client: its parameters are the user's own. (Anthropic's have no type.)
func isFunction(tool gjson.Result) bool {
	typ, ok := jsonx.Unique(tool, "type")
	return ok && (!typ.Exists() || typ.Str == "function" || typ.Str == "custom")
}

// namesModels reports whether a parameter's value is a model, or a list of models.
func namesModels(name string) bool {
	switch name {
	case "models", "fallbacks", "fallback", "fallbackmodels":
		return true
	}
	return strings.HasSuffix(name, "model") || strings.HasSuffix(name, "models")
}

// asksOthers reports whether a parameter has a provider use other models, or another host, in a way that the gateway cannot check.
func asksOthers(name string) bool {
	switch name {
	case "route", "preset", "datasources", "apibase", "baseurl", "modellist", "deploymentid", "engine", "compoundcustom", "userconfig",
		"routersettings", "routersettingsoverride", "litellmparams", "litellmparamstemplate":
		return true
	}
	return strings.HasSuffix(name, "fallbacks") || strings.HasSuffix(name, "fallback")
}

// isBlank reports whether a value names nothing: null, a boolean, or empty.
func isBlank(value gjson.Result) bool {
	return value.Type == gjson.Null || value.IsBool() || value.Type == gjson.String && value.Str == "" || value.IsArray() && !value.Get("0").Exists()
}

// fold returns the form of a name in which all names are equal that some parser takes for the same: camel, kebab and snake case alike.
func fold(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(lower(name))
}

// lower returns a name without case: ſ is s, and K (U+212A) is k.
func lower(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// clip shortens a name to what an error message can show.
func clip(name string) string {
	const most = 64
	return strings.ToValidUTF8(name[:min(len(name), most)], "")
}

func notAllowed(parameter, format, name string) *apierror.Error {
	return apierror.Invalid(http.StatusForbidden, apierror.CodeModelNotAllowed, parameter, format, name)
}
