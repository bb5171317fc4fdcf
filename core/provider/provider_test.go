package provider

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/internal/readmetest"
)

func dialects(t *testing.T) map[string]adapter.Adapter {
	t.Helper()
	out := map[string]adapter.Adapter{}
	for _, typ := range Types() {
		d, err := New(typ, Config{BaseURL: "https://provider.example/v1/"})
		if err != nil {
			t.Fatal(err)
		}
		out[typ] = d
	}
	return out
}

func TestNew(t *testing.T) {
	if _, err := New("none", Config{BaseURL: "https://provider.example"}); err == nil || err.Error() != `provider: no type "none"` {
		t.Error(err)
	}
	if _, err := New("openai", Config{BaseURL: "://"}); err == nil {
		t.Error("no error")
	}
}

// README.md says which calls each type serves.
func TestServes(t *testing.T) {
	table := "| | " + strings.Join(Types(), " | ") + " |\n|---|" + strings.Repeat("---|", len(Types())) + "\n"
	for _, path := range []string{"/chat/completions", "/completions", "/embeddings", "/responses", "/moderations", "/images/generations", "/images/edits", "/images/variations",
		"/audio/speech", "/audio/transcriptions", "/audio/translations", "/files", "/batches", "/messages", "/messages/count_tokens"} {
		table += "| `" + path + "`"
		for _, typ := range Types() {
			mark := "–"
			switch d := dialects(t)[typ]; {
			case d.Serves(path):
				mark = "✓"
			case path == "/messages" && d.Serves("/chat/completions"): // which core/messages makes of it
				mark = "as a chat"
			}
			table += " | " + mark
		}
		table += " |\n"
	}
	readmetest.Table(t, "README.md", "serves", table)
}

// parameters are what a chat completion can be asked for with, and an example of each: members of the request, or of its
// last message's content.
func parameters() [][2]string {
	const tool = `"tools":[{"type":"function","function":{"name":"f"}}]`
	content := func(part string) string { return `"messages":[{"role":"user","content":[` + part + `]}]` }
	return [][2]string{
		{"a system's or developer's message", `"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi!"}]`},
		{"an assistant's calls, a tool's result", `"messages":[{"role":"user","content":"Hi!"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}]`},
		{"a message's `name`", `"messages":[{"role":"user","name":"Al","content":"Hi!"}]`},
		{"an image by URL", content(`{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}`)},
		{"an image as data", content(`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`)},
		{"… with `detail` `low`", content(`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}`)},
		{"`input_audio`", content(`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`)},
		{"a PDF as `file_data`", content(`{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}`)},
		{"a `file_id`", content(`{"type":"file","file":{"file_id":"file-1"}}`)},
		{"`max_completion_tokens`, `max_tokens`", `"max_completion_tokens":9`},
		{"`temperature` up to 1", `"temperature":0.5`},
		{"`temperature` above 1", `"temperature":1.5`},
		{"`top_p`", `"top_p":0.5`},
		{"`stop`", `"stop":["x"]`},
		{"`n`", `"n":2`},
		{"`seed`", `"seed":1`},
		{"`frequency_penalty`", `"frequency_penalty":1`},
		{"`presence_penalty`", `"presence_penalty":1`},
		{"`logprobs`", `"logprobs":true`},
		{"`top_logprobs`", `"top_logprobs":2`},
		{"`logit_bias`", `"logit_bias":{"1":1}`},
		{"`tools`", tool},
		{"… `strict`", `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}}]`},
		{"… of type `custom`", `"tools":[{"type":"custom","custom":{"name":"f"}}]`},
		{"`tool_choice` `required`", tool + `,"tool_choice":"required"`},
		{"… `none`", tool + `,"tool_choice":"none"`},
		{"… a function", tool + `,"tool_choice":{"type":"function","function":{"name":"f"}}`},
		{"… `allowed_tools`", tool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}`},
		{"`parallel_tool_calls` false", tool + `,"parallel_tool_calls":false`},
		{"`functions`, `function_call`", `"functions":[{"name":"f"}]`},
		{"`response_format` `json_schema`", `"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}`},
		{"… `json_object`", `"response_format":{"type":"json_object"}`},
		{"`reasoning_effort`", `"reasoning_effort":"high"`},
		{"… `none`", `"reasoning_effort":"none"`},
		{"`verbosity` but `medium`", `"verbosity":"low"`},
		{"`stream`, `stream_options`", `"stream":true,"stream_options":{"include_usage":true}`},
		{"`user`, `safety_identifier`", `"user":"u"`},
		{"`service_tier` `default`", `"service_tier":"default"`},
		{"… `flex`, `priority`", `"service_tier":"flex"`},
		{"`store`", `"store":true`},
		{"`metadata`", `"metadata":{"a":"b"}`},
		{"`modalities` with `audio`, `audio`", `"modalities":["text","audio"]`},
		{"`prediction`", `"prediction":{"type":"content","content":"x"}`},
		{"`web_search_options`", `"web_search_options":{}`},
		{"`prompt_cache_key`", `"prompt_cache_key":"x"`},
		{"what nobody has heard of", `"news":"from the future"`},
	}
}

// README.md says what becomes of each parameter.
func TestParameters(t *testing.T) {
	all := dialects(t)
	table := "| | anthropic | gemini |\n|---|---|---|\n"
	for _, p := range parameters() {
		table += "| " + p[0]
		for _, typ := range []string{"anthropic", "gemini"} {
			table += " | " + becomes(t, all[typ].(adapter.Translator), typ, p[1])
		}
		table += " |\n"
	}
	readmetest.Table(t, "README.md", "parameters", table)
}

// becomes tells what the members of a request become: what they add to the provider's request, or alter.
func becomes(t *testing.T, d adapter.Translator, typ, members string) string {
	t.Helper()
	call := adapter.Call{Path: "/chat/completions", Model: map[string]string{"anthropic": "claude-opus-4-8", "gemini": "gemini-2.5-flash"}[typ]}
	return changed(t, d, call, `"messages":[{"role":"user","content":"Hi!"}]`, members)
}

// changed tells what the members add to a request that is plain without them, or alter.
func changed(t *testing.T, d adapter.Translator, call adapter.Call, plain, members string) string {
	t.Helper()
	hi := plain
	if strings.HasPrefix(members, `"max_tokens"`) { // no key may stand there twice
		hi = strings.TrimPrefix(hi, `"max_tokens":9,`)
	}
	if tools, more, ok := strings.Cut(members, `,"tool_choice"`); ok { // what the tools become is told already
		plain, members = plain+","+tools, tools+`,"tool_choice"`+more
	}
	before, _, err := d.Translate(t.Context(), call, []byte("{"+plain+"}"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(members, `"messages"`) {
		members = strings.TrimSuffix(hi, `"messages":[{"role":"user","content":"Hi!"}]`) + members
	} else {
		members = hi + "," + members
	}
	call.Stream = strings.Contains(members, `"stream"`)
	after, _, err := d.Translate(t.Context(), call, []byte("{"+members+"}"))
	var refused *adapter.ParamError
	if errors.As(err, &refused) {
		if name, _, _ := strings.Cut(refused.Param[strings.LastIndex(refused.Param, ".")+1:], "["); !strings.Contains(members, `"`+name+`"`) {
			t.Errorf("%s: refused for %s", members, refused.Param)
		}
		return "–"
	}
	if err != nil {
		t.Fatal(err)
	}
	with, without := map[string]string{}, map[string]string{}
	paths(t, "", before, without)
	paths(t, "", after, with)
	var found []string
	for _, path := range slices.Sorted(maps.Keys(with)) {
		if with[path] != without[path] && !strings.HasSuffix(path, ".role") {
			parts := strings.Split(path, ".")
			found = append(found, "`"+strings.Join(parts[:min(len(parts), 3)], ".")+"`")
		}
	}
	if found = slices.Compact(found); found == nil {
		return "✓"
	}
	if shorter := slices.DeleteFunc(slices.Clone(found), func(p string) bool { return strings.HasSuffix(p, ".type`") }); len(shorter) > 0 {
		found = shorter
	}
	return strings.Join(found, ", ")
}

// paths gathers what stands where in a value, without the indices of arrays and what stands below a schema.
func paths(t *testing.T, at string, raw []byte, into map[string]string) {
	t.Helper()
	var object map[string]json.RawMessage
	var array []json.RawMessage
	switch {
	case strings.HasSuffix(at, "chema"), strings.HasSuffix(at, "input"), strings.HasSuffix(at, "args"), strings.HasSuffix(at, "response"):
		into[at] += string(raw)
	case json.Unmarshal(raw, &object) == nil:
		for key, value := range object {
			paths(t, strings.TrimPrefix(at+"."+key, "."), value, into)
		}
	case json.Unmarshal(raw, &array) == nil:
		for _, value := range array {
			paths(t, at, value, into)
		}
	default:
		into[at] += string(raw)
	}
}
