package config

import (
	"fmt"
	"reflect"
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

// conform checks a node of the tree against the type that it is to fill, and gives what an environment variable holds its
// type. What does not fit is reported under its path and left out of the tree, so that the rest can be checked too.
// (Why not by the decoder, which can do some of it: RATIONALE.md.)
func conform(node any, t reflect.Type, path string, ps *problems) (any, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface { // within a strategy's own config
		if v, ok := node.(variable); ok {
			node = v.text
		}
		return node, true
	}
	if v, ok := node.(variable); ok {
		typed, err := v.as(t)
		if err != nil {
			ps.fail(path, "%v", err)
			return nil, false
		}
		node = typed
	}
	if !fits(reflect.ValueOf(node), t) {
		ps.fail(path, "must be %s, not %s", wants(t), nameOf(node))
		return nil, false
	}
	switch n := node.(type) {
	case map[string]any:
		conformTable(n, t, path, ps)
	case []any:
		list := make([]any, 0, len(n))
		for i, item := range n {
			if item, ok := conform(item, t.Elem(), at(path, i), ps); ok {
				list = append(list, item)
			}
		}
		return list, len(list) == len(n)
	case int64:
		if isInt(t) && reflect.Zero(t).OverflowInt(n) {
			ps.fail(path, "%d is out of range", n)
			return nil, false
		}
	}
	return node, true
}

func conformTable(table map[string]any, t reflect.Type, path string, ps *problems) {
	fields := map[string]reflect.Type{}
	var names []string
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("koanf"); name != "-" { // which Load fills in by itself
				fields[name], names = t.Field(i).Type, append(names, name)
			}
		}
	}
	for key, value := range table {
		inner := fields[key]
		if t.Kind() == reflect.Map {
			inner = t.Elem()
		}
		if inner == nil {
			ps.fail(join(path, key), "%s", unknown("key", key, names))
			delete(table, key)
			continue
		}
		if typed, ok := conform(value, inner, join(path, key), ps); ok {
			table[key] = typed
		} else {
			delete(table, key)
		}
	}
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
