package jsonx

import (
	"bytes"
	"strings"
	"testing"
)

// A MemberWriter replaces small members of the object itself, however the text comes in pieces, and nothing else.
func TestMemberWriter(t *testing.T) {
	upper := func(key string, value []byte) []byte {
		if key == "id" {
			return bytes.ToUpper(value)
		}
		return value
	}
	long := strings.Repeat("x", longestValue)
	for text, want := range map[string]string{
		`{"id":"a"}`:                                     `{"id":"A"}`,
		`{ "x" : [ {"id":"a"} ], "id" : "a" }`:           `{ "x" : [ {"id":"a"} ], "id" : "A" }`,
		`{"x":{"id":"a","y":{"id":"a"}},"id":"a","z":1}`: `{"x":{"id":"a","y":{"id":"a"}},"id":"A","z":1}`,
		`{"x":"\"id\":\"a\"","id":"a\"b"}`:               `{"x":"\"id\":\"a\"","id":"A\"B"}`,
		`{"x":"\\","id":"a"}`:                            `{"x":"\\","id":"A"}`,
		`{"i\u0064":"a"}`:                                `{"i\u0064":"A"}`,
		`{"id` + long + `":"a"}`:                         `{"id` + long + `":"a"}`,
		`{"id":"` + long + `","x":"id"}`:                 `{"id":"` + long + `","x":"id"}`,
		`{"x":"id","y":"a"}`:                             `{"x":"id","y":"a"}`,
		`{}`:                                             `{}`,
		`{"id":`:                                         `{"id":`,
		`{"id":"a`:                                       `{"id":`, // cut, as is the client's connection
		`}}]]"`:                                          `}}]]"`,
	} {
		for _, size := range []int{1, 2, 3, 7, len(text)} {
			var out bytes.Buffer
			w := NewMemberWriter(&out, upper)
			for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := w.Write(rest[:min(size, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != want {
				t.Errorf("%.60s in pieces of %d: got %.80s, want %.80s", text, size, out.String(), want)
			}
		}
	}
}
