package strict_test

import (
	"errors"
	"testing"

	"github.com/berrygate/berry/core/provider/dialect"
	"github.com/berrygate/berry/core/provider/strict"
)

// A key that stands twice in one object is refused where it does so; in two objects it may stand.
func TestKeysThatStandTwice(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1,"b":{"a":1}}`:           "",
		`{"a":1,"a":2}`:                 "a",
		`{"a":null,"a":2,"a":null}`:     "",
		`{"b":{"a":1,"\u0061":2}}`:      "b.a",
		`{"b":{"a":1},"c":2,"b":{}}`:    "b",
		`{"l":[{"a":1},{"a":1,"a":2}]}`: "l[1].a",
	} {
		var each func(key string, v strict.Value)
		each = func(_ string, v strict.Value) {
			switch {
			case v.IsObject():
				v.Members(each)
			case v.IsArray():
				v.Elements(func(v strict.Value) { v.Members(each) })
			}
		}
		var param *dialect.ParamError
		got := ""
		if err := strict.Parse([]byte(body), each); errors.As(err, &param) {
			got = param.Param
		} else if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if got != want {
			t.Errorf("%s: refused for %q, want %q", body, got, want)
		}
	}
}
