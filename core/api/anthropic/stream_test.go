package anthropic

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
)

// An event of a message that is like the one before means what it would mean if it came alone; what is taken for JSON is, and what is
// an error says so.
func FuzzMessageShape(f *testing.F) {
	const text = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `"b\"\u00e9"`, 1)))
	f.Add([]byte(text), []byte(strings.Replace(text, "content_block_delta", "message_stop", 1)))
	f.Add([]byte(text), []byte(strings.Replace(text, `"a"`, `"a"},"error":{"x":"`, 1)))
	f.Add([]byte(`{"type":"content_block_delta","error":"a"}`), []byte(`{"type":"content_block_delta","error":"b"}`))
	f.Add([]byte(`{"type":"message_start","message":{"usage":{"input_tokens":5}}}`), []byte(`{"type":"message_delta","delta":{"stop_reason":"a"},"usage":{"output_tokens":7}}`))
	f.Add([]byte(`{"type":"error","error":{"type":"a"}}`), []byte(`{"type":"ping"}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var compared, walked stream
		compared.Parse(first)
		walked.Parse(first)
		walked.last = jsonx.Template{}
		got, want := compared.Parse(second), walked.Parse(second)
		if got != want || compared.stopped != walked.stopped || compared.usage != walked.usage {
			t.Fatalf("kind %d, stopped %v, usage %v; want %d, %v, %v", got, compared.stopped, compared.usage, want, walked.stopped, walked.usage)
		}
		if second != nil && json.Valid(second) == (got == api.Malformed) {
			t.Fatalf("kind %d of %s", got, second)
		}
		if json.Valid(second) && gjson.GetBytes(second, "type").Str == "error" && strings.Count(string(second), "type") == 1 && got != api.Failure {
			t.Fatalf("kind %d of an error", got)
		}
	})
}

// What the events of a message are to the relay.
func TestMessageProgress(t *testing.T) {
	var p stream
	for i, step := range []struct {
		event string
		want  api.EventKind
	}{
		{`{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_creation_input_tokens":2,"cache_read_input_tokens":1,"output_tokens":1}}}`, api.Head},
		{`{"type": "ping"}`, api.Comment},
		{`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, api.Chunk},
		{`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`, api.Chunk},
		{`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}`, api.Chunk},
		{`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}`, api.Malformed},
		{`{"type":"message_start","message":{}}`, api.Chunk}, // a second one
		{`{"type":"news"}`, api.Chunk},
		{`["what"]`, api.Chunk},
		{`{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":5}}`, api.Chunk},
		{`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`, api.Chunk},
		{`{"type":"message_stop"}`, api.Done},
	} {
		if got := p.Parse([]byte(step.event)); got != step.want {
			t.Errorf("%s is kind %d, want %d", step.event, got, step.want)
		}
		if finished := i >= 10; p.Finished() != finished {
			t.Errorf("finished %v after %s", p.Finished(), step.event)
		}
	}
	if u := p.Usage(); u.InputTokens != 6 || u.OutputTokens != 9 {
		t.Errorf("%+v", u)
	}
	if p.Parse(nil) != api.Comment || p.Parse([]byte(`{"type":"message_start","message":{"x":"`+strings.Repeat("x", api.MaxHead)+`"}}`)) != api.Chunk {
		t.Error("a comment, or a head that is too large to be held")
	}
	eager := stream{eager: true}
	if eager.Parse([]byte(`{"type":"message_start","message":{}}`)) != api.Chunk {
		t.Error("the head of a translation commits")
	}
}
