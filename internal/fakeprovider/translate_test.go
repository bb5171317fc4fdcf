package fakeprovider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/provider/adapter"
)

// A chat that the adapter translates to a provider's API and the fake provider, which shares no code with it, translates back is unchanged; so
// is its response.
func TestRoundTrip(t *testing.T) {
	const chat = `{"messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":[{"type":"text","text":"Grüße \"<&>\""},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
		{"role":"assistant","content":"I'll look.","tool_calls":[{"id":"weather","type":"function","function":{"name":"weather","arguments":"{\"city\":\"M\\u00fcnchen\"}"}},{"id":"now","type":"function","function":{"name":"now","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"weather","content":"{\"celsius\":21}"},{"role":"tool","tool_call_id":"now","content":"noon"},
		{"role":"user","content":"Go on."}],
		"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}},{"type":"function","function":{"name":"now"}}],
		"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}}`
	for typ, make := range map[string]func() format{"anthropic": func() format { return &anthropic{} }, "gemini": func() format { return &gemini{} }} {
		d, err := provider.New(typ, provider.Config{BaseURL: "https://provider.example", Key: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		call := adapter.Call{ID: "x", Path: "/chat/completions", Model: "m", Began: time.Unix(1, 0)}
		body, answer, err := d.(adapter.Translator).Translate(t.Context(), call, []byte(chat))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		d.SetTarget(r, call)
		s := make()
		_, converted, key, err := s.decodeRequest(r, body)
		if err != nil || key != "secret" {
			t.Fatalf("%s: %v, key %s", typ, err, key)
		}
		var before, after toolCallerRequest
		if err := json.Unmarshal([]byte(chat), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(marshal(converted), &after); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(after.received(), "\n"), strings.Join(before.received(), "\n"); got != want {
			t.Errorf("%s:\n%s\nnot\n%s", typ, got, want)
		}
		if len(after.Messages) != len(before.Messages) || len(after.Messages[2].ToolCalls) != 2 || len(after.Tools) != 2 || after.Format.Type != "json_schema" {
			t.Errorf("%s: %s", typ, marshal(converted))
		}
		testAnswer(t, typ, s, answer)
	}
}

func testAnswer(t *testing.T, typ string, s format, translator adapter.ResponseTranslator) {
	const reply = `{"choices":[{"index":0,"message":{"content":"I'll \"look\".","tool_calls":[{"id":"1","function":{"name":"weather","arguments":"{\"city\":\"M\u00fcnchen\"}"}},{"id":"2","function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`
	var before, after answer
	if err := json.Unmarshal([]byte(reply), &before); err != nil {
		t.Fatal(err)
	}
	b, err := translator.Body(marshal(s.encodeResponse(&before)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &after); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*answer{&before, &after} { // ids are the provider's
		a.ID, a.Model = "", ""
		for i := range a.Choices[0].Message.ToolCalls {
			a.Choices[0].Message.ToolCalls[i].ID = ""
		}
	}
	if got, want := string(marshal(after)), string(marshal(before)); got != want {
		t.Errorf("%s:\n%s\nnot\n%s", typ, got, want)
	}
}
