package config

import (
	"errors"
	"fmt"
	"maps"
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

// What a variable may be called in a reference, and what other programs take for one.
var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)
	bareVariable = regexp.MustCompile(`(^|[^$])\$[A-Za-z_]`)
)

// expand fills in the references ${NAME} and ${NAME:-default} of a text; $${ stands for ${ itself. Whatever else begins as a reference does
// is an error, which does not quote it: it may be a secret. needed says that the text must not come out empty.
func (c checker) expand(text, path string, needed bool) (string, bool) {
	var b strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "${")
		if bareVariable.MatchString(before) {
			c.warn(path, "a $ before a name stays as it is; write ${NAME} to read a variable")
		}
		if !found {
			b.WriteString(before)
			return b.String(), true
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(escaped + "${")
			rest = after
			continue
		}
		value, behind, err := c.reference(after, needed)
		if err != nil {
			c.fail(path, "%v", err)
			return "", false
		}
		b.WriteString(before + value)
		rest = behind
	}
}

// reference returns the value of the reference that the text begins with, after its ${, and what stands behind it.
func (c checker) reference(text string, needed bool) (value, behind string, err error) {
	const forms = "write ${NAME}, ${NAME:-default}, or $${ to mean ${ itself"
	name := variableName.FindString(text)
	inner, behind, closed := strings.Cut(text[len(name):], "}")
	fallback, hasDefault := strings.CutPrefix(inner, ":-")
	value, set := c.vars[name]
	value = trimLine(value)
	switch {
	case !closed:
		return "", "", fmt.Errorf("a reference that begins with ${ has no } at its end; %s", forms)
	case name == "":
		return "", "", fmt.Errorf("${ is not followed by the name of a variable; %s", forms)
	case strings.Contains(inner, "${"):
		return "", "", fmt.Errorf("the default of %s has a reference in it; a default is a plain text", name)
	case strings.HasPrefix(inner, "-"), strings.HasPrefix(inner, ":?"), strings.HasPrefix(inner, "?"):
		return "", "", fmt.Errorf("after ${%s stands an operator that is not supported; write ${%s}, which must be set, or ${%s:-default}", name, name, name)
	case inner != "" && !hasDefault:
		return "", "", fmt.Errorf("after ${%s stands neither } nor :- and a default; %s", name, forms)
	case value == "" && hasDefault:
		value = fallback
	case !set:
		return "", "", fmt.Errorf("the environment has no %s; set it, or write $${%s} to mean the text itself", name, name)
	}
	if strings.Contains(value, "${") {
		return "", "", fmt.Errorf("the environment variable %s %s", name, unexpanded)
	}
	if value == "" && needed {
		return "", "", fmt.Errorf("the environment variable %s is empty; set it, or delete the key if it is not needed", name)
	}
	return value, behind, nil
}

// unexpanded is what is wrong with a value from outside the file that has a reference in it: files for Docker and systemd are not expanded, and the
// reference itself would become a key or a token.
const unexpanded = "contains a reference, ${…}, that nothing has expanded; set it to the value itself"

// trimLine takes off the line's end that files, and variables that are made from files, have behind a value.
func trimLine(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r") }

// override sets in the tree the keys that variables such as BERRY_SETTINGS__MAX_RETRIES name. A section or key that the
// file has is found whatever its case, with an underscore for each dash and dot (no shell takes those in a name).
func override(tree map[string]any, vars map[string]string, ps *problems) {
	inFile := map[string][]string{} // names in each section
	for section, table := range tree {
		if table, ok := table.(map[string]any); ok {
			inFile[section] = slices.Sorted(maps.Keys(table))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		path, ours := strings.CutPrefix(name, envPrefix)
		keys := strings.Split(path, envSeparator)
		switch {
		case !ours:
			continue
		case len(keys) == 1:
			warnOfSeparator(name, ps)
			continue
		}
		warnOfNewName(name, keys, inFile, ps)
		if err := set(tree, keys, variable{name, trimLine(vars[name])}); err != nil {
			ps.add(Problem{Message: err.Error(), Variable: name, offset: -1})
		}
	}
}

// warnOfSeparator warns of a variable such as BERRY_SETTINGS_MAX_RETRIES, which sets nothing.
func warnOfSeparator(name string, ps *problems) {
	path := strings.TrimPrefix(name, envPrefix)
	for _, section := range keysIn(reflect.TypeFor[Config]()) {
		if key, ok := strings.CutPrefix(path, strings.ToUpper(section)+"_"); ok {
			ps.warn("", "the environment variable %s is ignored; to override a key, write %s%s%s%s", name, envPrefix, strings.ToUpper(section), envSeparator, key)
		}
	}
}

// warnOfNewName warns of a variable that adds a user, provider, model or strategy whose name is nearly that of one in the file.
func warnOfNewName(name string, keys []string, inFile map[string][]string, ps *problems) {
	section := strings.ToLower(keys[0])
	names := inFile[section]
	if len(keys) < 3 || len(names) == 0 {
		return
	}
	table := make(map[string]any, len(names))
	for _, n := range names {
		table[n] = nil
	}
	wanted, err := find(table, keys[1])
	if _, there := table[wanted]; err != nil || there {
		return
	}
	if similar := nearest(wanted, names); similar != "" {
		ps.warn("", "the environment variable %s adds %s.%s, which the file does not have; did you mean %q?", name, section, wanted, similar)
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
		return nil, errors.New("a variable cannot set a table")
	}
	if err != nil {
		return nil, fmt.Errorf("must be %s", wants(t))
	}
	return out, nil
}
