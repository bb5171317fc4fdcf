// Package strictjson reads a client's JSON, of which every member must be known: what a translation would leave out, the client must be
// told of.
package strictjson

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/adapter"
)

// A Value is one of a request's values and where it stands. The first thing that is wrong with any of them is the
// request's error; what is read after that does not matter.
type Value struct {
	gjson.Result
	At      *Place // nil of the whole request
	request *state
}

// A state is what is known of the request so far.
type state struct {
	ctx      context.Context
	failed   *adapter.ParamError // the first thing that is wrong
	elements int                 // of all arrays
}

// MaxElements is how many elements all arrays of a request may have together: messages, parts, tools, calls. Each takes some hundred bytes to
// translate, however little it says. It is what Anthropic allows of messages alone.
const MaxElements = 100_000

// checked is after how many elements it is looked whether the client is still there.
const checked = 1000

// A Place is where a value stands in a request. It is written out only if something is wrong there.
type Place struct {
	within *Place // nil at the top
	key    string // "" of an element
	index  int    // of an element
}

// Parse calls member with each member of body, a JSON object, that is not null. What the values hold points into body, which must not
// change as long as they live. It fails with a *adapter.ParamError, the first that member has found, and soon after ctx has ended with its cause.
func Parse(ctx context.Context, body []byte, member func(key string, v Value)) error {
	request := state{ctx: ctx}
	root := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body))) // not copied: a request's body never changes
	Value{root, nil, &request}.Members(member)
	switch {
	case request.failed == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return request.failed
	}
}

// String returns the place as the APIs' errors name it, such as messages[0].content.
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

// Fail says what is wrong with the value. The message follows its name.
func (v Value) Fail(format string, args ...any) {
	if v.request.failed == nil {
		v.request.failed = adapter.Invalid(v.At.String(), format, args...)
	}
}

// Unsupported says that the value has no counterpart at any provider that is translated to.
func (v Value) Unsupported() {
	if v.request.failed == nil {
		v.request.failed = adapter.Unsupported(v.At.String())
	}
}

// Members calls f with each member of the object that is not null. A key that stands there twice is refused: which one counts, parsers do
// not agree on. (It also bounds the work: an object has no more members than keys that are known.)
func (v Value) Members(f func(key string, v Value)) {
	if !v.IsObject() {
		v.Fail("must be an object.")
		return
	}
	seen := make([]string, 0, 16)
	v.ForEach(func(key, inner gjson.Result) bool {
		if inner.Type == gjson.Null {
			return true
		}
		member := Value{inner, v.At.Member(key.Str), v.request}
		if slices.Contains(seen, key.Str) {
			member.Fail("stands there twice.")
			return false
		}
		seen = append(seen, key.Str)
		f(key.Str, member)
		return v.request.failed == nil
	})
}

// Elements calls f with each element of the array.
func (v Value) Elements(f func(v Value)) {
	if !v.IsArray() {
		v.Fail("must be an array.")
		return
	}
	i := 0
	v.ForEach(func(_, inner gjson.Result) bool {
		if v.request.elements++; v.request.elements > MaxElements {
			v.Fail("has too many elements: all arrays of a request may have %d together.", MaxElements)
			return false
		}
		if v.request.elements%checked == 0 && v.request.ctx.Err() != nil {
			v.Fail("is read for nobody any more.")
			return false
		}
		f(Value{inner, &Place{within: v.At, index: i}, v.request})
		i++
		return v.request.failed == nil
	})
}

// Text returns a string.
func (v Value) Text() string {
	if v.Type != gjson.String {
		v.Fail("must be a string.")
	}
	return v.Str
}

// Texts returns the strings of an array, of which there may be most.
func (v Value) Texts(most int) []string {
	var out []string
	v.Elements(func(element Value) {
		if out = append(out, element.Text()); len(out) > most {
			v.Fail("must have at most %d elements.", most)
		}
	})
	return out
}

// Within returns a number of at least least and at most most.
func (v Value) Within(least, most float64) *float64 {
	switch {
	case v.Type != gjson.Number:
		v.Fail("must be a number.")
	case !(v.Num >= least && v.Num <= most):
		v.Fail("must be from %v to %v.", least, most)
	}
	return &v.Num
}

// Whole returns a whole number of at least least.
func (v Value) Whole(least int64) int64 {
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if err != nil || n < least {
		v.Fail("must be a whole number of at least %d.", least)
	}
	return n
}

// Flag returns true or false.
func (v Value) Flag() bool {
	if v.Type != gjson.True && v.Type != gjson.False {
		v.Fail("must be true or false.")
	}
	return v.Type == gjson.True
}

// Object returns an object as it is written.
func (v Value) Object() []byte {
	if !v.IsObject() {
		v.Fail("must be an object.")
	}
	return []byte(v.Raw)
}

// Only refuses every value but the given one, which is what is done without the parameter.
func (v Value) Only(raw string) {
	var b bytes.Buffer
	if json.Compact(&b, []byte(v.Raw)) != nil || b.String() != raw {
		v.Unsupported()
	}
}
