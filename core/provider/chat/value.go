package chat

import (
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/dialect"
)

// A value is one of a request's values and where it stands. The first thing that is wrong with any of them is the
// request's error; what is read after that does not matter.
type value struct {
	gjson.Result
	at  *Place
	err **dialect.ParamError
}

// A Place is where a value stands in a request. It is written out only if something is wrong there.
type Place struct {
	within *Place // nil at the top
	key    string // "" of an element
	index  int    // of an element
}

// String returns the place as OpenAI's errors name it, such as messages[0].content.
func (p *Place) String() string {
	switch {
	case p == nil:
		return ""
	case p.key == "":
		return p.within.String() + "[" + strconv.Itoa(p.index) + "]"
	case p.within == nil:
		return p.key
	default:
		return p.within.String() + "." + p.key
	}
}

// Member returns the place of the key in the object at p.
func (p *Place) Member(key string) *Place { return &Place{within: p, key: key} }

func (v value) fail(format string, args ...any) {
	if *v.err == nil {
		*v.err = dialect.Invalid(v.at.String(), format, args...)
	}
}

// unsupported says that the value has no counterpart at any provider that is translated to.
func (v value) unsupported() {
	if *v.err == nil {
		*v.err = dialect.Unsupported(v.at.String())
	}
}

// members calls f with each member of the object that is not null.
func (v value) members(f func(key string, v value)) {
	if !v.IsObject() {
		v.fail("must be an object.")
		return
	}
	v.ForEach(func(key, inner gjson.Result) bool {
		if inner.Type != gjson.Null {
			f(key.Str, value{inner, v.at.Member(key.Str), v.err})
		}
		return *v.err == nil
	})
}

// elements calls f with each element of the array.
func (v value) elements(f func(v value)) {
	if !v.IsArray() {
		v.fail("must be an array.")
		return
	}
	i := 0
	v.ForEach(func(_, inner gjson.Result) bool {
		f(value{inner, &Place{within: v.at, index: i}, v.err})
		i++
		return *v.err == nil
	})
}

func (v value) text() string {
	if v.Type != gjson.String {
		v.fail("must be a string.")
	}
	return v.Str
}

func (v value) number() *float64 {
	if v.Type != gjson.Number {
		v.fail("must be a number.")
	}
	return &v.Num
}

// within returns a number of at least least and at most most.
func (v value) within(least, most float64) *float64 {
	n := v.number()
	if !(*n >= least && *n <= most) {
		v.fail("must be from %v to %v.", least, most)
	}
	return n
}

// whole returns a whole number of at least least.
func (v value) whole(least int64) int64 {
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if err != nil || n < least {
		v.fail("must be a whole number of at least %d.", least)
	}
	return n
}

func (v value) flag() bool {
	if v.Type != gjson.True && v.Type != gjson.False {
		v.fail("must be true or false.")
	}
	return v.Type == gjson.True
}

// object returns an object as it is written.
func (v value) object() []byte {
	if !v.IsObject() {
		v.fail("must be an object.")
	}
	return []byte(v.Raw)
}

// only refuses every value but the given one, which is what is done without the parameter.
func (v value) only(raw string) {
	if Compact([]byte(v.Raw)) != raw {
		v.unsupported()
	}
}
