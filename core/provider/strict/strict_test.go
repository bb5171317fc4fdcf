package strict_test

import (
	"context"
	"errors"
	"strings"
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
		if err := strict.Parse(t.Context(), []byte(body), each); errors.As(err, &param) {
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
	err := strict.Parse(ctx, []byte(`{"l":[`+strings.Repeat("1,", 90_000)+`1]}`), func(_ string, v strict.Value) {
		v.Elements(func(strict.Value) {
			if read++; read == 5000 {
				cancel(gone)
			}
		})
	})
	if !errors.Is(err, gone) || read > 6000 {
		t.Errorf("%v after %d elements, want %v and at most 6000", err, read, gone)
	}
}
