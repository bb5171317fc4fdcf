package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// envPrefix begins the variables that override a key; envSeparator stands between its sections.
const (
	envPrefix    = "BERRY_"
	envSeparator = "__"
)

// variables turns os.Environ's list into a map.
func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// reference is ${NAME} in a value; $${ stands for ${ itself.
var reference = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand fills in the ${NAME} of every string in the tree, in place.
func expand(node any, path string, vars map[string]string, ps *problems) any {
	switch n := node.(type) {
	case map[string]any:
		for key, value := range n {
			n[key] = expand(value, join(path, key), vars, ps)
		}
	case []any:
		for i, value := range n {
			n[i] = expand(value, at(path, i), vars, ps)
		}
	case string:
		return reference.ReplaceAllStringFunc(n, func(ref string) string {
			if strings.HasPrefix(ref, "$$") {
				return ref[1:]
			}
			name := ref[2 : len(ref)-1]
			value, ok := vars[name]
			if !ok {
				ps.fail(path, "the environment has no %s; set it, or write $${%s} to mean the text itself", name, name)
			}
			return value
		})
	}
	return node
}

// override sets in the tree the keys that variables such as BERRY_SETTINGS__MAX_RETRIES name. A section or key that the
// file has is found whatever its case, with an underscore for each dash and dot (no shell takes those in a name).
func override(tree map[string]any, vars map[string]string, ps *problems) {
	names := make([]string, 0, len(vars))
	for name := range vars {
		if strings.HasPrefix(name, envPrefix) && strings.Contains(name, envSeparator) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		keys := strings.Split(strings.TrimPrefix(name, envPrefix), envSeparator)
		if err := set(tree, keys, variable{name, vars[name]}); err != nil {
			ps.fail("", "environment variable %s: %v", name, err)
		}
	}
}

func set(table map[string]any, keys []string, value variable) error {
	key, err := find(table, keys[0])
	if err != nil {
		return err
	}
	if len(keys) == 1 {
		table[key] = value
		return nil
	}
	if _, ok := table[key]; !ok {
		table[key] = map[string]any{}
	}
	inner, ok := table[key].(map[string]any)
	if !ok {
		return fmt.Errorf("%s is no table; a variable can set single keys of tables only", key)
	}
	return set(inner, keys[1:], value)
}

func find(table map[string]any, wanted string) (string, error) {
	if wanted == "" {
		return "", fmt.Errorf("a section or key is empty; it reads %sSECTION%sKEY", envPrefix, envSeparator)
	}
	fold := strings.NewReplacer("-", "_", ".", "_")
	var found []string
	for key := range table {
		if strings.EqualFold(fold.Replace(key), fold.Replace(wanted)) {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 0:
		return strings.ToLower(wanted), nil
	case 1:
		return found[0], nil
	default:
		slices.Sort(found)
		return "", fmt.Errorf("%s may mean %s", wanted, strings.Join(found, " or "))
	}
}

// A variable is the text of an environment variable that overrides a key. It has no type until its key is known.
type variable struct{ name, text string }

// as converts the text to the type, in the form that TOML's decoder would have given it.
func (v variable) as(t reflect.Type) (any, error) {
	var out any
	var err error
	switch {
	case t.Kind() == reflect.String || t == reflect.TypeFor[Secret]():
		return v.text, nil
	case t.Kind() == reflect.Bool:
		out, err = strconv.ParseBool(v.text)
	case isInt(t):
		out, err = strconv.ParseInt(v.text, 10, 64)
	case t.Kind() == reflect.Float64:
		out, err = strconv.ParseFloat(v.text, 64)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		list := []any{}
		for item := range strings.SplitSeq(v.text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	default:
		return nil, fmt.Errorf("environment variable %s cannot set a table", v.name)
	}
	if err != nil {
		return nil, fmt.Errorf("environment variable %s must be %s", v.name, wants(t))
	}
	return out, nil
}
