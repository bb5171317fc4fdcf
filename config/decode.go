package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
)

// decode fills c from a tree that conforms to it. Unlike koanf's defaults it converts nothing: names match to the letter,
// and only strings become Secrets.
func decode(tree map[string]any, c *Config) error {
	k := koanf.New(delim)
	if err := k.Load(whole(tree), nil); err != nil {
		return err
	}
	return k.UnmarshalWithConf("", c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		MatchName: func(key, field string) bool { return key == field },
		DecodeHook: func(from, to reflect.Value) (any, error) {
			if to.Type() == reflect.TypeFor[Secret]() {
				return NewSecret(from.String()), nil
			}
			return from.Interface(), nil
		},
	}})
}

// A checker checks a tree against the types of a Config, and fills in what it reads from the environment.
type checker struct {
	vars map[string]string
	*problems
}

// checkTypes checks a node of the tree against the type that it is to fill, fills in its references, and gives what an environment
// variable holds its type. What does not fit is reported under its path and left out of the tree, so that the rest can be checked
// too. (Why not by the decoder, which can do some of it: RATIONALE.md.)
func (c checker) checkTypes(node any, t reflect.Type, path string) (any, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface { // within a strategy's own config
		return c.free(node, path)
	}
	if v, ok := node.(variable); ok {
		c.note(path, v)
		typed, err := v.as(t)
		if err != nil {
			c.fail(path, "%v", err)
			return nil, false
		}
		if strings.Contains(v.text, "${") {
			c.fail(path, "the variable %s", unexpanded)
			return nil, false
		}
		if v.text == "" && mustNotBeEmpty(t, path) {
			c.fail(path, "the variable is empty; set it, or unset it to leave the key as it is in the file")
			return nil, false
		}
		node = typed
	} else if text, ok := node.(string); ok {
		if node, ok = c.expand(text, path, mustNotBeEmpty(t, path)); !ok {
			return nil, false
		}
	}
	if !fits(reflect.ValueOf(node), t) {
		c.fail(path, "%s", misfit(node, t, path))
		return nil, false
	}
	switch n := node.(type) {
	case map[string]any:
		c.conformTable(n, t, path)
	case []any:
		list := make([]any, 0, len(n))
		for i, item := range n {
			if item, ok := c.checkTypes(item, t.Elem(), at(path, i)); ok {
				list = append(list, item)
			}
		}
		return list, len(list) == len(n)
	case int64:
		if isInt(t) && reflect.Zero(t).OverflowInt(n) {
			c.fail(path, "%d is out of range", n)
			return nil, false
		}
	}
	return node, true
}

func (c checker) conformTable(table map[string]any, t reflect.Type, path string) {
	for key, value := range table {
		inner, known := keyIn(t, key)
		if !known {
			if v, ok := value.(variable); ok {
				c.note(join(path, key), v)
			}
			c.failKey(join(path, key), "%s", unknown("key", key, keysIn(t)))
			delete(table, key)
			continue
		}
		if typed, ok := c.checkTypes(value, inner, join(path, key)); ok {
			table[key] = typed
		} else {
			delete(table, key)
		}
	}
}

// free fills in the references of what may be anything.
func (c checker) free(node any, path string) (any, bool) {
	switch n := node.(type) {
	case variable:
		c.note(path, n)
		return n.text, true
	case string:
		return c.expand(n, path, false)
	case map[string]any:
		for key, value := range n {
			n[key], _ = c.free(value, join(path, key))
		}
	case []any:
		for i, value := range n {
			n[i], _ = c.free(value, at(path, i))
		}
	}
	return node, true
}

// note notes that the variable has overridden the key.
func (c checker) note(path string, v variable) {
	if c.variables == nil {
		c.variables = map[string]string{}
	}
	c.variables[path] = v.name
}

// mustNotBeEmpty reports whether an empty text in the place of a key opens what it should close: keys, tokens, files of them, and the list
// that means all models if it is empty.
func mustNotBeEmpty(t reflect.Type, path string) bool {
	steps := split(path)
	switch key := steps[len(steps)-1].key; key {
	case "token_sha256", "api_key_file", "ca_file", "tls_cert", "tls_key", "path", "sha256", "allowed_models", "trusted_proxies":
		return true
	default:
		return t == reflect.TypeFor[Secret]()
	}
}

// misfit says that a value has another type than its key.
func misfit(node any, t reflect.Type, path string) string {
	steps := split(path)
	name := join("", keysOnly(steps)...)
	inList := len(steps) > 0 && steps[len(steps)-1].index >= 0
	switch _, isList := node.([]any); {
	case isTable(t) && isList && !inList:
		return fmt.Sprintf("must be a table, not a list; if its header is [[%s]], write [%s]", name, name)
	case t.Kind() == reflect.Slice && isTable(t.Elem()) && reflect.ValueOf(node).Kind() == reflect.Map:
		return fmt.Sprintf("must be a list, not a table; write the header of each entry with two brackets: [[%s]]", name)
	}
	return fmt.Sprintf("must be %s, not %s", wants(t), nameOf(node))
}

func keysOnly(steps []step) []string {
	var keys []string
	for _, s := range steps {
		if s.index < 0 {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// isTable reports whether the type is a table in TOML.
func isTable(t reflect.Type) bool {
	t = elem(t)
	return t != reflect.TypeFor[Secret]() && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map)
}

// fits tells whether TOML's value v can fill the type. A whole number fills a fraction; nothing else is converted.
func fits(v reflect.Value, t reflect.Type) bool {
	switch {
	case t == reflect.TypeFor[Secret]():
		return v.Kind() == reflect.String
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return v.Kind() == reflect.Map
	case isInt(t):
		return v.CanInt()
	case t.Kind() == reflect.Float64:
		return v.CanFloat() || v.CanInt()
	default:
		return v.Kind() == t.Kind()
	}
}

func isInt(t reflect.Type) bool {
	return t.Kind() == reflect.Int || t.Kind() == reflect.Int32 || t.Kind() == reflect.Int64
}

// wants names what a key of the type takes, as TOML writes it.
func wants(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.String || t == reflect.TypeFor[Secret]():
		return "a string in quotes"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case isInt(t):
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.Slice:
		return "a list in brackets"
	default:
		return "a table"
	}
}

// nameOf names a value's type as TOML does; never the value, which may be a secret in the wrong place.
func nameOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	default:
		return fmt.Sprintf("a %T", value)
	}
}
