package core

import (
	"strings"

	"github.com/tidwall/gjson"
)

// A Member is a member of a JSON object that matters to the gateway. It must stand there once and be written plainly: to parsers that fold
// case, Model is model, too, and of two keys some take the first and some the last. What a provider could read differently is refused.
type Member struct {
	name  string
	value gjson.Result
	seen  int // keys that read as the name
}

// NewMember returns the member of the name, which has not been seen yet.
func NewMember(name string) Member { return Member{name: name} }

// See looks at one of the object's members.
func (m *Member) See(key, value gjson.Result) {
	if !strings.EqualFold(key.Str, m.name) {
		return
	}
	m.seen++
	if len(key.Raw) == len(m.name)+2 && key.Str == m.name { // without escapes
		m.value = value
	}
}

// Value returns the value, if the member has been seen, written plainly.
func (m *Member) Value() gjson.Result { return m.value }

// Repeats reports whether several keys read as the name.
func (m *Member) Repeats() bool { return m.seen > 1 }

// OK reports whether the object has the member once and written plainly, or not at all.
func (m *Member) OK() bool { return m.seen == 0 || m.seen == 1 && m.value.Exists() }

// OnlyMember returns the object's member of the name; ok is that of Member.
func OnlyMember(object gjson.Result, name string) (value gjson.Result, ok bool) {
	m := NewMember(name)
	object.ForEach(func(k, v gjson.Result) bool {
		m.See(k, v)
		return true
	})
	return m.Value(), m.OK()
}

// Ambiguous returns the error of a request that has such a key beside the parameter, or instead of it.
func Ambiguous(status int, code, param string) *Error {
	return Invalid(status, code, param, "A key reads as %q but is written differently, or stands there twice; send one, in lower case and without escapes.", param)
}
