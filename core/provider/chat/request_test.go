package chat

import (
	"errors"
	"strings"
	"testing"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/strictjson"
)

// What is wrong with a request is named by its place.
func TestParseRequestRefuses(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"Hi!"}]`
	for body, want := range map[string]adapter.ParamError{
		`{}`:                             {Param: "messages", Code: "invalid_value"},
		`{"messages":[]}`:                {Param: "messages", Code: "invalid_value"},
		`{"messages":"Hi!"}`:             {Param: "messages", Code: "invalid_value"},
		`{"messages":[null]}`:            {Param: "messages[0]", Code: "invalid_value"},
		`{"messages":[{"content":"x"}]}`: {Param: "messages[0]", Code: "invalid_value"},
		`{"messages":[{"role":"function","name":"f","content":"x"}]}`:                                                 {Param: "messages[0].role", Code: "unsupported_parameter"},
		`{"messages":[{"role":"user","content":5}]}`:                                                                  {Param: "messages[0].content", Code: "invalid_value"},
		`{"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":5}]}]}`:              {Param: "messages[0].content[1].text", Code: "invalid_value"},
		`{"messages":[{"role":"user","content":[{"type":"text"}]}]}`:                                                  {Param: "messages[0].content[0]", Code: "invalid_value"},
		`{"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"x"}}]}]}`:                     {Param: "messages[0].content[0].video_url", Code: "unsupported_parameter"},
		`{"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{}}]}]}`:                    {Param: "messages[0].content[0].cache_control", Code: "unsupported_parameter"},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}]}`:      {Param: "messages[0].content[0].image_url.url", Code: "invalid_value"},
		`{"messages":[{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}`:        {Param: "messages[0]", Code: "invalid_value"},
		`{"messages":[{"role":"user","content":"x","tool_calls":[{"id":"1","function":{"name":"f"}}]}]}`:              {Param: "messages[0]", Code: "invalid_value"},
		`{"messages":[{"role":"tool","content":"x"}]}`:                                                                {Param: "messages[0]", Code: "invalid_value"},
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":"}}]}]}`: {Param: "messages[0].tool_calls[0].function.arguments", Code: "invalid_value"},
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"[1]"}}]}]}`:     {Param: "messages[0].tool_calls[0].function.arguments", Code: "invalid_value"},
		`{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}`:                                {Param: "messages[0].tool_calls[0]", Code: "invalid_value"},
		"{" + hi + `,"temperature":"hot"}`:                                                                            {Param: "temperature", Code: "invalid_value"},
		"{" + hi + `,"temperature":2.5}`:                                                                              {Param: "temperature", Code: "invalid_value"},
		"{" + hi + `,"max_tokens":1.5}`:                                                                               {Param: "max_tokens", Code: "invalid_value"},
		"{" + hi + `,"n":0}`:                                                                                          {Param: "n", Code: "invalid_value"},
		"{" + hi + `,"stop":[1]}`:                                                                                     {Param: "stop[0]", Code: "invalid_value"},
		"{" + hi + `,"logprobs":1}`:                                                                                   {Param: "logprobs", Code: "invalid_value"},
		"{" + hi + `,"tools":[{"type":"function"}]}`:                                                                  {Param: "tools[0]", Code: "invalid_value"},
		"{" + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`:                          {Param: "tools[0].function.parameters", Code: "invalid_value"},
		"{" + hi + `,"tool_choice":"maybe"}`:                                                                          {Param: "tool_choice", Code: "invalid_value"},
		"{" + hi + `,"response_format":{"type":"json_schema"}}`:                                                       {Param: "response_format", Code: "invalid_value"},
		"{" + hi + `,"response_format":{"type":"grammar"}}`:                                                           {Param: "response_format.type", Code: "unsupported_parameter"},
		"{" + hi + `,"reasoning_effort":"utmost"}`:                                                                    {Param: "reasoning_effort", Code: "invalid_value"},
		"{" + hi + `,"stop":["a","b","c","d","e"]}`:                                                                   {Param: "stop", Code: "invalid_value"},
		"{" + hi + `,"n":1,"n":1}`:                                                                                    {Param: "n", Code: "invalid_value"},
		`{"messages":[{"role":"user","content":[` + strings.Repeat(`{"type":"text","text":"x"},`, strictjson.MaxElements) + `{"type":"text","text":"x"}]}]}`: {Param: "messages[0].content", Code: "invalid_value"},
		"{" + hi + `,"Temperature":1}`: {Param: "Temperature", Code: "unsupported_parameter"},
	} {
		_, err := ParseRequest(t.Context(), []byte(body))
		var got *adapter.ParamError
		if !errors.As(err, &got) || got.Param != want.Param || got.Code != want.Code || got.Message == "" {
			t.Errorf("%.200s: %+v; want %s %s", body, got, want.Code, want.Param)
		}
	}
}

// What is null, or says what is done anyway, is not said.
func TestParseRequestDefaults(t *testing.T) {
	r, err := ParseRequest(t.Context(), []byte(`{"messages":[{"role":"user","content":"Hi!","name":null}],"stop":null,"frequency_penalty":0,"logit_bias":{ },
		"store":false,"metadata":{},"modalities":["text"],"verbosity":"medium","response_format":{"type":"text"},"functions":null,"max_tokens":5,"max_completion_tokens":9,
		"user":"a","safety_identifier":"b"}`))
	if err != nil || r.Stop != nil || r.FrequencyPenalty != nil || r.Format.Kind != "" || r.MaxTokens != 9 || r.User != "b" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseEmbeddings(t *testing.T) {
	r, err := ParseEmbeddings(t.Context(), []byte(`{"model":"m","input":["a","b"],"dimensions":3,"encoding_format":"float","user":"u"}`))
	if err != nil || len(r.Input) != 2 || r.Dimensions != 3 || r.Base64 {
		t.Errorf("%+v, %v", r, err)
	}
	for body, want := range map[string]string{
		`{}`: "input", `{"input":[]}`: "input", `{"input":[1,2]}`: "input[0]", `{"input":"a","encoding_format":"hex"}`: "encoding_format",
		`{"input":[` + strings.Repeat(`"a",`, 2048) + `"a"]}`: "input",
	} {
		_, err := ParseEmbeddings(t.Context(), []byte(body))
		var got *adapter.ParamError
		if !errors.As(err, &got) || got.Param != want {
			t.Errorf("%s: %v; want %s", body, err, want)
		}
	}
}

// An id of a call is as short as OpenAI wants it, and differs from exchange to exchange.
func TestCallID(t *testing.T) {
	a, b := CallID(adapter.Call{ID: "one"}, 0, 1), CallID(adapter.Call{ID: "two"}, 0, 1)
	if a == b || len(a) > 40 || a != CallID(adapter.Call{ID: "one"}, 0, 1) {
		t.Errorf("%s %s", a, b)
	}
}
