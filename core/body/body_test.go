package body

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/internal/complexitytest"
)

// code returns the code of the error that the client would get; "" without one.
func code(err error) string {
	var e *apierror.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// sent returns what a provider would get of a request with the body.
func sent(t *testing.T, b Body, model string) string {
	t.Helper()
	quoted, err := json.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	r, length := b.WithModel(string(quoted))
	out, err := io.ReadAll(r)
	if err != nil || int64(len(out)) != length {
		t.Fatalf("%d bytes of %d, %v", len(out), length, err)
	}
	return string(out)
}

func TestOnlyTheModelsValueChanges(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a"}`: `{"model":"x/y"}`,
		"\n { \"n\" : 1.50e+3, \"model\"\t:\t\"a\" , \"z\":\"\\u00e9\\/\" }\n": "\n { \"n\" : 1.50e+3, \"model\"\t:\t\"x/y\" , \"z\":\"\\u00e9\\/\" }\n",
		`{"messages":[{"mod\u0065l":"inner"}],"model":"a"}`:                    `{"messages":[{"mod\u0065l":"inner"}],"model":"x/y"}`,
		`{"a":{"model":"inner"},"model":"\u0061","b":12345678901234567890}`:    `{"a":{"model":"inner"},"model":"x/y","b":12345678901234567890}`,
	} {
		b, err := Parse([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if b.Model != "a" {
			t.Errorf("%s: model %q", body, b.Model)
		}
		if got := sent(t, b, "x/y"); got != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}

func TestParseBodyReadsWhatRoutingNeeds(t *testing.T) {
	b, err := Parse([]byte(`{"stream":true,"user":"u\"1","max_tokens":77,"model":"m"}`))
	if err != nil || !b.Stream || b.User != `u"1` || b.MaxTokens != 77 {
		t.Errorf("%+v, %v", b, err)
	}
	b, err = Parse([]byte(`{"stream":null,"user":7,"max_completion_tokens":-1,"model":"m"}`))
	if err != nil || b.Stream || b.User != "" || b.MaxTokens != 0 {
		t.Errorf("%+v, %v", b, err)
	}
}

// Whether a stream is wanted can be read in one way only.
func TestParseBodyWantsOnePlainStream(t *testing.T) {
	for body, ok := range map[string]bool{
		`"stream":true`: true, `"stream":false`: true, `"stream":null`: true, `"streams":1`: true, `"input":{"Stream":1}`: true,
		`"stream":1`: false, `"stream":0`: false, `"stream":"true"`: false, `"stream":""`: false, `"stream":[true]`: false, `"stream":{}`: false,
		`"Stream":true`: false, `"STREAM":false`: false, `"stream":true,"stream":false`: false, `"stream":true,"stream":true`: false, `"stream":true,"Stream":true`: false, `"str\u0065am":true`: false,
	} {
		b, err := Parse([]byte(`{"model":"m",` + body + `}`))
		var e *apierror.Error
		if (err == nil) != ok || !ok && (!errors.As(err, &e) || e.Status != 400 || e.Param != "stream") {
			t.Errorf("%s: %v, %v", body, b.Stream, err)
		}
		if ok && b.Stream != strings.Contains(body, "true") {
			t.Errorf("%s: stream %v", body, b.Stream)
		}
	}
}

// Prefix does not depend on the model, nor on what follows the first 1,024 bytes without it.
func TestPrefix(t *testing.T) {
	prefix := func(model, tail string) uint64 {
		b, err := Parse([]byte(`{"model":"` + model + `","x":"` + strings.Repeat("x", 1100) + tail + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		return b.Prefix()
	}
	if prefix("a", "1") != prefix("another", "2") {
		t.Error("it depends on the model or on the tail")
	}
	early, err := Parse([]byte(`{"y":1,"model":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if early.Prefix() == prefix("a", "1") {
		t.Error("it does not depend on the beginning")
	}
}

// Nesting that would end the process, were it followed, is refused.
func TestDeepNesting(t *testing.T) {
	deep := strings.Repeat("[", 20<<20)
	if _, err := Parse([]byte(deep)); code(err) != apierror.CodeInvalidJSON {
		t.Errorf("unclosed: %v", err)
	}
	deep = `{"model":"m","x":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}`
	if _, err := Parse([]byte(deep)); code(err) != apierror.CodeInvalidJSON {
		t.Errorf("closed: %v", err)
	}
	wide := `{"model":"m","x":[` + strings.Repeat("[],", 20_000) + `[]]}`
	if _, err := Parse([]byte(wide)); err != nil {
		t.Errorf("wide but flat: %v", err)
	}
}

// Whatever is accepted: encoding/json reads the same model from it, what is sent differs in that alone, and only for a
// name that no parser could read otherwise.
func FuzzParseBody(f *testing.F) {
	for _, seed := range []string{
		`{"model":"a","n":1e400,"x":[1,{"model":2}]}`, `{"mod\u0065l":"a"}`, `{"model":"a","MODEL":"b"}`, `{"model":"\ud83d\ude00 \ud800","é":"\u00e9"}`,
		` {"a" : -0.0 , "model":"b" } `, `{"model":"a"}{}`, `{"model" "a"}`, "{\"model\":\"a\",\"\xff\":\"\xff\"}", `{"":"","model":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b Body
		var err error
		complexitytest.BoundedAllocs(t, len(raw), func() { b, err = Parse(raw) })
		if err != nil {
			return
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		var model string
		if err := json.Unmarshal(fields["model"], &model); err != nil || model != b.Model {
			t.Fatalf("encoding/json reads the model %q (%v), Berry %q", model, err, b.Model)
		}
		out := sent(t, b, "provider-model")
		if want := string(raw[:b.at]) + `"provider-model"` + string(raw[b.end:]); out != want {
			t.Fatalf("%q became %q", raw, out)
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal([]byte(out), &after); err != nil {
			t.Fatalf("%q is no JSON any more: %v", out, err)
		}
		for key, value := range fields {
			if key != "model" && string(after[key]) != string(value) {
				t.Fatalf("field %q was %s, is %s", key, value, after[key])
			}
		}
		if string(after["model"]) != `"provider-model"` || len(after) != len(fields) {
			t.Fatalf("fields %v became %v", fields, after)
		}
	})
}

func BenchmarkModelReplaced(b *testing.B) {
	for name, size := range map[string]int{"1KB": 1 << 10, "1MB": 1 << 20} {
		raw := []byte(`{"model":"smart","messages":[{"role":"user","content":"` + strings.Repeat("lorem ipsum ", size/12) + `"}],"stream":true}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				body, err := Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				r, _ := body.WithModel(`"gpt-4o-mini"`)
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
