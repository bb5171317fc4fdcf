package jsonx_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/internal/complexitytest"
)

var texts = []string{
	`{"choices":[{"index":0,"delta":{"content":"a\u00e9\"}"},"finish_reason":null},{"index":1,"finish_reason":"stop"}],"usage":null}`,
	`[1,-0.5e+3,true,{}]`, `{"a":01}`, `{"a":"\x"}`, "{\"a\":\"\x01\"}", `{"a" : [ ] , "b":{ } } `, ``, `"\ud83d"`, `{"a":[7,[],null]}`, "{}\x00", `1.`, `-`, `tru`,
	strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
}

// The scanner accepts what encoding/json accepts.
func FuzzScanner(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		complexitytest.BoundedAllocs(t, len(text), func() {
			s := jsonx.Scanner{Text: text}
			if got, want := s.Skip() && s.AtEnd(), json.Valid(text); got != want {
				t.Errorf("valid: got %t, want %t", got, want)
			}
		})
	})
}

// Valid accepts what encoding/json accepts.
func TestValid(t *testing.T) {
	for _, text := range texts {
		if got, want := jsonx.Valid([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Errorf("%.40q: got %t, want %t", text, got, want)
		}
	}
}

func TestScannerReads(t *testing.T) {
	s := jsonx.Scanner{Text: []byte(` {"a\u0062": "x\n", "list": [1, "two"], "rest": {"deep": ["three"]}} `)}
	var got []string
	ok := s.Object(func(key []byte) bool {
		got = append(got, string(key))
		switch {
		case s.Peek() == '"':
			value, ok := s.Str()
			got = append(got, string(value))
			return ok
		case s.Peek() == '[':
			return s.Array(func() bool {
				value, ok := s.Raw()
				got = append(got, string(value))
				return ok
			})
		default:
			return s.Skip()
		}
	})
	if want := "ab,x\n,list,1,\"two\",rest"; !ok || !s.AtEnd() || strings.Join(got, ",") != want {
		t.Errorf("got %v %q, want %q", ok, got, want)
	}
	if len(s.Strings) != 2 { // "two" and "three"
		t.Errorf("got %d strings, want 2", len(s.Strings))
	}
}

func TestTemplate(t *testing.T) {
	const text = `{"id":"c-1","delta":{"content":"Hello"},"n":1}`
	s := jsonx.Scanner{Text: []byte(text)}
	if !s.Skip() {
		t.Fatal("not JSON")
	}
	var template jsonx.Template
	template.Set(s.Text, s.Strings)
	for event, want := range map[string]bool{
		text: true,
		`{"id":"another","delta":{"content":"\u00e9 \" "},"n":1}`: true,
		`{"id":"c-1","delta":{"content":"Hello"},"n":2}`:          false,
		`{"id":"c-1","delta":{"content":"Hello"},"n":1} `:         false,
		`{"id":"c-1","delta":{"content":"Hel"lo"},"n":1}`:         false,
		`{"id":"c-1","delta":{"content":null},"n":1}`:             false,
		`{"id":"c-1","delta":{"content":"Hello","x":"y"},"n":1}`:  false,
	} {
		if got := template.Match([]byte(event)); got != want {
			t.Errorf("%s: got %t, want %t", event, got, want)
		}
	}
}

func TestUniqueKey(t *testing.T) {
	for object, want := range map[string]struct {
		value string
		ok    bool
	}{
		`{"model":"a"}`:                  {"a", true},
		`{"other":"a"}`:                  {"", true},
		`{"model":"a","model":"b"}`:      {"b", false},
		`{"model":"a","Model":"b"}`:      {"a", false},
		`{"MODEL":"a"}`:                  {"", false},
		`{"mod\u0065l":"a"}`:             {"", false},
		`{"model":"a","mod\u0065l":"b"}`: {"a", false},
	} {
		value, ok := jsonx.Unique(jsonx.View([]byte(object)), "model")
		if value.Str != want.value || ok != want.ok {
			t.Errorf("%s: got %q %t, want %q %t", object, value.Str, ok, want.value, want.ok)
		}
	}
}
