package messages

import (
	"errors"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/providertest"
)

// What is wrong with a request is named by its place, in Anthropic's words.
func TestRequestRefuses(t *testing.T) {
	const hi = `"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}]`
	said := func(role, content string) string {
		return `{"max_tokens":9,"messages":[{"role":"` + role + `","content":` + content + `}]}`
	}
	for body, want := range map[string]adapter.ParamError{
		`{}`:                               {Param: "max_tokens", Code: "invalid_value"},
		`{"max_tokens":9}`:                 {Param: "messages", Code: "invalid_value"},
		`{"max_tokens":0,"messages":[]}`:   {Param: "max_tokens", Code: "invalid_value"},
		`{"max_tokens":9,"messages":[{}]}`: {Param: "messages[0]", Code: "invalid_value"},
		`{"max_tokens":9,"messages":[{"role":"user","name":"Al","content":"Hi!"}]}`: {Param: "messages[0].name", Code: "unsupported_parameter"},
		said("tool", `"x"`):                                                                            {Param: "messages[0].role", Code: "unsupported_parameter"},
		said("assistant", `"x"`):                                                                       {Param: "messages[0]", Code: "unsupported_parameter"},
		said("user", `5`):                                                                              {Param: "messages[0].content", Code: "invalid_value"},
		said("user", `[{"type":"text","text":5}]`):                                                     {Param: "messages[0].content[0].text", Code: "invalid_value"},
		said("user", `[{"type":"text","text":"x","news":1}]`):                                          {Param: "messages[0].content[0].news", Code: "unsupported_parameter"},
		said("user", `[{"type":"tool_use","id":"1","name":"f","input":{}}]`):                           {Param: "messages[0].content[0]", Code: "unsupported_parameter"},
		said("user", `[{"type":"image","source":{"type":"file","file_id":"x"}}]`):                      {Param: "messages[0].content[0].source", Code: "unsupported_parameter"},
		said("user", `[{"type":"image"}]`):                                                             {Param: "messages[0].content[0]", Code: "invalid_value"},
		said("user", `[{"type":"document","source":{"type":"text","data":5}}]`):                        {Param: "messages[0].content[0].source.data", Code: "invalid_value"},
		said("user", `[{"type":"document","source":{"type":"content","content":[{"type":"image"}]}}]`): {Param: "messages[0].content[0].source.content[0]", Code: "unsupported_parameter"},
		said("user", `[{"type":"tool_result","content":"x"}]`):                                         {Param: "messages[0].content[0]", Code: "invalid_value"},
		said("user", `[{"type":"tool_result","tool_use_id":"1","content":[{"type":"tool_result","tool_use_id":"2"}]}]`):  {Param: "messages[0].content[0].content[0]", Code: "unsupported_parameter"},
		said("user", `[{"type":"tool_result","tool_use_id":"1","content":[{"type":"tool_reference","tool_name":"f"}]}]`): {Param: "messages[0].content[0].content[0]", Code: "unsupported_parameter"},
		said("assistant", `[{"type":"image","source":{"type":"url","url":"x"}}]`):                                        {Param: "messages[0].content[0]", Code: "unsupported_parameter"},
		said("assistant", `[{"type":"tool_use","id":"1","name":"f","input":[]}]`):                                        {Param: "messages[0].content[0].input", Code: "invalid_value"},
		said("assistant", `[{"type":"tool_use","id":"1","input":{}}]`):                                                   {Param: "messages[0].content[0]", Code: "invalid_value"},
		said("assistant", `[{"type":"server_tool_use","id":"1","name":"web_search","input":{}}]`):                        {Param: "messages[0].content[0]", Code: "unsupported_parameter"},
		"{" + hi + `,"temperature":1.5}`:                                            {Param: "temperature", Code: "invalid_value"},
		"{" + hi + `,"system":[{"type":"image"}]}`:                                  {Param: "system[0]", Code: "unsupported_parameter"},
		"{" + hi + `,"top_k":5}`:                                                    {Param: "top_k", Code: "unsupported_parameter"},
		"{" + hi + `,"thinking":{"type":"enabled"}}`:                                {Param: "thinking", Code: "invalid_value"},
		"{" + hi + `,"thinking":{"type":"much"}}`:                                   {Param: "thinking.type", Code: "unsupported_parameter"},
		"{" + hi + `,"tools":[{"input_schema":{}}]}`:                                {Param: "tools[0]", Code: "invalid_value"},
		"{" + hi + `,"tools":[{"type":"bash_20250124","name":"bash"}]}`:             {Param: "tools[0].type", Code: "unsupported_parameter"},
		"{" + hi + `,"tools":[{"name":"f","defer_loading":true}]}`:                  {Param: "tools[0].defer_loading", Code: "unsupported_parameter"},
		"{" + hi + `,"tool_choice":{"type":"some"}}`:                                {Param: "tool_choice.type", Code: "unsupported_parameter"},
		"{" + hi + `,"output_config":{"effort":"none"}}`:                            {Param: "output_config.effort", Code: "unsupported_parameter"},
		"{" + hi + `,"metadata":{"name":"Al"}}`:                                     {Param: "metadata.name", Code: "unsupported_parameter"},
		"{" + hi + `,"service_tier":"flex"}`:                                        {Param: "service_tier", Code: "unsupported_parameter"},
		"{" + hi + `,"context_management":{"edits":[{"type":"compact_20260112"}]}}`: {Param: "context_management.edits[0]", Code: "unsupported_parameter"},
	} {
		_, _, err := chats(t).Translate(t.Context(), providertest.Call([]byte(body)), []byte(body))
		var e *adapter.ParamError
		if !errors.As(err, &e) || e.Param != want.Param || e.Code != want.Code || !strings.HasPrefix(e.Message, e.Param+" ") {
			t.Errorf("%s: %+v", body, err)
		}
	}
}

// What the next translator refuses is named as Anthropic's clients know it.
func TestNextTranslatorRefuses(t *testing.T) {
	for members, want := range map[string]string{
		`"tools":[{"name":"f"}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`:                              "tool_choice.disable_parallel_tool_use",
		`"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://example.com/a.png"}}]}]`: "messages",
		`"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"x"}]}]`:                    "messages",
		`"messages":[{"role":"system","content":"x"}]`:                                                                       "messages",
		`"output_config":{"effort":"high"}`:                                                                                  "thinking",
	} {
		body := []byte(`{"max_tokens":9,` + members + `}`)
		if !strings.Contains(members, `"messages"`) {
			body = []byte(`{"max_tokens":9,"messages":[{"role":"user","content":"Hi!"}],` + members + `}`)
		}
		call := providertest.Call(body)
		call.Model = "gemini-2.0-flash"
		_, _, err := contents(t).Translate(t.Context(), call, body)
		var e *adapter.ParamError
		if !errors.As(err, &e) || e.Param != want || !strings.HasPrefix(e.Message, want+" ") {
			t.Errorf("%s: %+v", members, err)
		}
	}
}
