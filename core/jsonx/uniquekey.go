package jsonx

import (
	"strings"

	"github.com/tidwall/gjson"
)

// A UniqueKey finds the value of a key in a JSON object and reports whether every parser finds the same: the key must occur once, in lower
// case and without escapes. Some parsers ignore case ("Model" is "model"), and of a repeated key some use the first value and some the last.
type UniqueKey struct {
	name  string
	value gjson.Result
	seen  int // keys that some parser reads as the name
}

// NewUniqueKey returns a UniqueKey for the name, which is in lower case.
func NewUniqueKey(name string) UniqueKey { return UniqueKey{name: name} }

// See is called with each member of the object.
func (k *UniqueKey) See(key, value gjson.Result) {
	if !strings.EqualFold(key.Str, k.name) {
		return
	}
	k.seen++
	if len(key.Raw) == len(k.name)+2 && key.Str == k.name { // without escapes
		k.value = value
	}
}

// Value returns the key's value; it does not exist if the object has no such key.
func (k *UniqueKey) Value() gjson.Result { return k.value }

// Repeats reports whether several keys may be read as the name.
func (k *UniqueKey) Repeats() bool { return k.seen > 1 }

// OK reports whether all parsers find the same value, or none.
func (k *UniqueKey) OK() bool { return k.seen == 0 || k.seen == 1 && k.value.Exists() }

// Unique returns the value of the key in the object. ok is false if parsers would disagree about it.
func Unique(object gjson.Result, name string) (value gjson.Result, ok bool) {
	k := NewUniqueKey(name)
	object.ForEach(func(name, v gjson.Result) bool {
		k.See(name, v)
		return true
	})
	return k.Value(), k.OK()
}
