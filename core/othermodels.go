package core

import "strings"

// AsksOthers reports whether a parameter of the name, in lower case, has some provider ask other models than the one that the request names,
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

// partAsksOthers is AsksOthers for a part of a form, whose value is not looked at.
func partAsksOthers(name string) bool {
	return name == "models" || name == "fallbacks" || AsksOthers(name)
}
