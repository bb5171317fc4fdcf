package strictjson_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/strictjson"
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
		var each func(key string, v strictjson.Value)
		each = func(_ string, v strictjson.Value) {
			switch {
			case v.IsObject():
				v.Members(each)
			case v.IsArray():
				v.Elements(func(v strictjson.Value) { v.Members(each) })
			}
		}
		var param *adapter.ParamError
		got := ""
		if err := strictjson.Parse(t.Context(), []byte(body), each); errors.As(err, &param) {
			got = param.Param
		} else if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if got != want {
			t.Errorf("%s: refused for %q, want %q", body, got, want)
		}
	}
}

// What is read for nobody any more is not read to its end.
func TestNobodyWaits(t *testing.T) {
	gone := errors.New("the client has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	read := 0
	err := strictjson.Parse(ctx, []byte(`{"l":[`+strings.Repeat("1,", 90_000)+`1]}`), func(_ string, v strictjson.Value) {
		v.Elements(func(strictjson.Value) {
			if read++; read == 5000 {
				cancel(gone)
			}
		})
	})
	if !errors.Is(err, gone) || read > 6000 {
		t.Errorf("%v after %d elements, want %v and at most 6000", err, read, gone)
	}
}
