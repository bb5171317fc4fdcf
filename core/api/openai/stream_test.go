package openai

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
	"github.com/berrygate/berry/internal/complexitytest"
)

// What every event of a stream is looked at for: that it is JSON, an error, a finish reason, the usage.
func BenchmarkEvent(b *testing.B) {
	event := []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763852400,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}`)
	var p stream
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if p.Parse(event) != api.Chunk {
			b.Fatal("it is a chunk")
		}
	}
}

// The parser finds the same in an event as gjson.
func FuzzChatStream(f *testing.F) {
	for _, seed := range []string{
		`{"choices":[{"index":0,"delta":{"content":"a\u00e9\"}"},"finish_reason":null},{"index":1,"finish_reason":"stop"}],"usage":null}`,
		`{"error":{"message":"x"}}`, `{"error":null,"usage":{"prompt_tokens":1,"completion_tokens":2}}`, `{"choic\u0065s":[{"finish_reason":"stop"}]}`,
		`[1,-0.5e+3,true,{}]`, `{"a":01}`, `{"a":"\x"}`, "{\"a\":\"\x01\"}", `{"a" : [ ] , "b":{ } } `, ``, `"\ud83d"`, `{"choices":[7,[],null]}`, "{}\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		complexitytest.BoundedAllocs(t, len(data), func() { new(stream).Parse(data) })
		var p stream
		kind := p.Parse(data)
		if !json.Valid(data) || !gjson.ParseBytes(data).IsObject() {
			return
		}
		var failed, finished bool
		gjson.ParseBytes(data).ForEach(func(key, value gjson.Result) bool {
			failed = failed || key.Str == "error" && value.Type != gjson.Null
			if key.Str == "choices" && value.IsArray() {
				value.ForEach(func(_, choice gjson.Result) bool {
					if choice.IsObject() {
						choice.ForEach(func(key, value gjson.Result) bool {
							finished = finished || key.Str == "finish_reason" && value.Type != gjson.Null && value.Raw != `""`
							return true
						})
					}
					return true
				})
			}
			return true
		})
		if failed != (kind == api.Failure) || p.Finished() && !finished {
			t.Fatalf("kind %d, failed %t; finished %t, want %t", kind, failed, p.Finished(), finished)
		}
	})
}

// An event that is like the one before means what it would mean if it came alone.
func FuzzRepeatedEvent(f *testing.F) {
	const text = `{"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"obfuscation":"x"}`
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `"b\"\u00e9"`, 1)))
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `null`, 1)))
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `"a","x":"`, 1)))
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `"\x"`, 1)))
	f.Add([]byte(text), []byte(text+"}"))
	f.Add([]byte(`{"choices":[{"finish_reason":"stop"}]}`), []byte(`{"choices":[{"finish_reason":""}]}`))
	f.Add([]byte(`{"choices":[],"usage":{"prompt_tokens":"a"}}`), []byte(`{"choices":[],"usage":{"prompt_tokens":"7"}}`))
	f.Add([]byte(`{"usage":{},"choices":[{"index":"a"}]}`), []byte(`{"usage":{},"choices":[{"index":"1"}]}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var compared, walked stream
		compared.Parse(first)
		walked.Parse(first)
		walked.last = jsonx.Template{}
		got, want := compared.Parse(second), walked.Parse(second)
		if got != want || !slices.Equal(compared.choices, walked.choices) || compared.usage != walked.usage {
			t.Fatalf("kind %d, choices %v, usage %v; want %d, %v, %v", got, compared.choices, compared.usage, want, walked.choices, walked.usage)
		}
	})
}

// What a malformed event says of the choices does not count: the client does not get it.
func TestMalformedEventSaysNothing(t *testing.T) {
	var p stream
	p.Parse([]byte(`{"choices":[{"index":0,"finish_reason":null}]}`))
	if kind := p.Parse([]byte(`{"choices":[{"index":0,"finish_reason":"stop"}],"usa`)); kind != api.Malformed || p.Finished() {
		t.Errorf("kind %d, finished %t", kind, p.Finished())
	}
}

// A stream is finished when each of its choices has a finish reason, in whatever order and events.
func TestFinished(t *testing.T) {
	choice := func(index, reason string) string {
		return `{"choices":[{"index":` + index + `,"finish_reason":` + reason + `}]}`
	}
	for name, test := range map[string]struct {
		events []string
		want   bool
	}{
		"nothing":               {nil, false},
		"open":                  {[]string{choice("0", "null")}, false},
		"closed":                {[]string{choice("0", "null"), choice("0", `"stop"`)}, true},
		"and more":              {[]string{choice("0", `"stop"`), choice("0", "null")}, true},
		"one of two":            {[]string{choice("0", "null"), choice("1", "null"), choice("1", `"stop"`)}, false},
		"both":                  {[]string{choice("1", `"length"`), choice("0", `"stop"`)}, true},
		"no index":              {[]string{`{"choices":[{"finish_reason":"stop"}]}`}, true},
		"an index out of range": {[]string{choice("99999999999", "null"), choice("0", `"stop"`)}, false},
		"an empty reason":       {[]string{choice("0", `""`)}, false},
		"no choices":            {[]string{`{"choices":[]}`, `{"usage":{}}`}, false},
	} {
		var p stream
		for _, e := range test.events {
			if kind := p.Parse([]byte(e)); kind != api.Chunk && kind != api.Head {
				t.Errorf("%s: %s is kind %d", name, e, kind)
			}
		}
		if p.Finished() != test.want {
			t.Errorf("%s: finished %t", name, p.Finished())
		}
	}
}

// An event commits a stream if it carries something of the answer; what comes after that passes, whatever it is.
func TestWhatCarries(t *testing.T) {
	delta := func(d string) string { return `{"choices":[{"index":0,"delta":` + d + `,"finish_reason":null}]}` }
	for event, want := range map[string]api.EventKind{
		`{"choices":[],"prompt_filter_results":[{"index":0}]}`: api.Head, `{}`: api.Head, `{"usage":{"prompt_tokens":3,"completion_tokens":0}}`: api.Head,
		delta(`{"role":"assistant"}`): api.Head, delta(`{"role":"assistant","content":""}`): api.Head, delta(`{"role":"assistant","content":null,"tool_calls":[]}`): api.Head,
		delta(`{}`): api.Head, delta(`null`): api.Head, `{"choices":[{"index":0,"text":""}]}`: api.Head, `{"choices":[{"index":0,"delta":{"content":""},"finish_reason":""}]}`: api.Head,
		delta(`{"content":"Hi"}`): api.Chunk, delta(`{"content":" "}`): api.Chunk, delta(`{"reasoning_content":"Hm"}`): api.Chunk, delta(`{"reasoning":"Hm"}`): api.Chunk,
		delta(`{"refusal":"No"}`): api.Chunk, delta(`{"tool_calls":[{"index":0,"function":{"name":"f"}}]}`): api.Chunk, delta(`{"audio":{"id":"a"}}`): api.Chunk,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`: api.Chunk, `{"choices":[{"index":0,"text":"Hi"}]}`: api.Chunk,
		`{"choices":[{"index":0,"delta":{"role":"assistant"}},{"index":1,"delta":{"content":"Hi"}}]}`: api.Chunk,
	} {
		var p stream
		if got := p.Parse([]byte(event)); got != want {
			t.Errorf("%s is kind %d, want %d", event, got, want)
		}
		p.Parse([]byte(delta(`{"content":"Hi"}`)))
		if got := p.Parse([]byte(event)); got != api.Chunk {
			t.Errorf("after content, %s is kind %d, want a chunk", event, got)
		}
	}
	p := stream{terminal: "image_generation.completed"}
	if got := p.Parse([]byte(`{"type":"image_generation.partial_image"}`)); got != api.Chunk {
		t.Errorf("a piece of an image is kind %d", got)
	}
}

// Events that carry nothing are held back up to a limit.
func TestHeadsAreBounded(t *testing.T) {
	var p stream
	event := []byte(`{"choices":[],"padding":"` + strings.Repeat("x", 1000) + `"}`)
	for n := 0; n < 2*api.MaxHead; n += len(event) {
		if p.Parse(event) == api.Chunk {
			if n+len(event) <= api.MaxHead {
				t.Errorf("committed after %d bytes", n)
			}
			return
		}
	}
	t.Error("nothing commits")
}
