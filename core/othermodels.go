package core

import "strings"

// AsksOthers reports whether a parameter of the name, folded, has some provider ask other models than the one that the request names,
// or somebody else's, whatever its value is. (plugins/auth/README.md says whose they are.)
func AsksOthers(name string) bool {
	switch name {
	case "route", "preset", "data_sources", "api_base", "base_url", "model_list", "deployment_id", "engine", "compound_custom", "extra_body":
		return true
	case "fallbacks": // which may name models of the gateway
		return false
	}
	return strings.HasSuffix(name, "fallbacks")
}

// Fold returns a name such that all that parsers which fold case take for the same are the same, ſ and s, and K (U+212A) and k among them.
func Fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// partAsksOthers is AsksOthers for a part of a form, whose value is not looked at.
func partAsksOthers(name string) bool {
	name = Fold(name)
	return name == "models" || name == "fallbacks" || AsksOthers(name)
}
