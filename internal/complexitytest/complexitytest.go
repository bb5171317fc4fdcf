// Package complexitytest helps to test that time and memory grow at most linearly with the size of hostile input: Bodies are requests that make
// quadratic code slow, and BoundedAllocs limits the memory that a function allocates.
package complexitytest

import (
	"fmt"
	"strings"
)

// A Body is a request of many equal pieces. Code that scans the whole body for each piece takes quadratic time.
type Body struct {
	Path  string
	front string // before the pieces; MODEL stands for the model's name
	piece string // %d stands for its number
	back  string
}

// Build returns the request body for the model, of at least size bytes and at most a few pieces more.
func (b Body) Build(model string, size int) string {
	var out strings.Builder
	out.WriteString(strings.Replace(b.front, "MODEL", model, 1))
	for i := 0; out.Len() < size; i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		if strings.Contains(b.piece, "%d") {
			fmt.Fprintf(&out, b.piece, i)
		} else {
			out.WriteString(b.piece)
		}
	}
	return out.String() + b.back
}

// Bodies returns bodies by a name that has the API and the repeated piece.
func Bodies() map[string]Body {
	const chat, messages = `{"model":"MODEL",`, `{"model":"MODEL","max_tokens":9,`
	user := `"messages":[{"role":"user","content":"Hi!"}]`
	return map[string]Body{
		"chat: messages":          {"/v1/chat/completions", chat + `"messages":[`, `{"role":"user","content":"a"}`, `]}`},
		"chat: empty messages":    {"/v1/chat/completions", chat + `"messages":[`, `{"role":"user","content":""}`, `,{"role":"user","content":"a"}]}`},
		"chat: parts":             {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":[`, `{"type":"text","text":"a"}`, `]}]}`},
		"chat: a tool's parts":    {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":[`, `{"type":"text","text":"a"}`, `]}]}`},
		"chat: calls":             {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[`, `{"id":"c%d","type":"function","function":{"name":"f","arguments":"{}"}}`, `]}]}`},
		"chat: tools":             {"/v1/chat/completions", chat + user + `,"tools":[`, `{"type":"function","function":{"name":"f%d"}}`, `]}`},
		"chat: allowed tools":     {"/v1/chat/completions", chat + user + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[`, `{"type":"function","function":{"name":"f%d"}}`, `]}}}`},
		"chat: stops":             {"/v1/chat/completions", chat + user + `,"stop":[`, `"a%d"`, `]}`},
		"chat: a schema":          {"/v1/chat/completions", chat + user + `,"tools":[{"type":"function","function":{"name":"f","parameters":{`, `"a%d":{}`, `}}}]}`},
		"chat: one text":          {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":"`, `Hello \"world\"`, `"}]}`},
		"chat: an image":          {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,YQ==`, `AAAAAAAA`, `"}}]}]}`},
		"chat: numbers":           {"/v1/chat/completions", chat + `"messages":[`, `0`, `]}`},
		"chat: objects":           {"/v1/chat/completions", chat + `"messages":[`, `{}`, `]}`},
		"responses: roles":        {"/v1/responses", chat + `"input":[`, `{"role":""}`, `]}`},
		"chat: escapes":           {"/v1/chat/completions", chat + `"messages":[{"role":"user","content":[`, `{"type":"text","text":"\u0061\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"}`, `]}]}`},
		"chat: nulls":             {"/v1/chat/completions", chat + user + `,`, `"a%d":null`, `}`},
		"chat: one key":           {"/v1/chat/completions", chat + user + `,`, `"user":null`, `}`},
		"messages: blocks":        {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[`, `{"type":"text","text":"a"}`, `]},{"role":"user","content":"a"}]}`},
		"messages: a failed tool": {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,"content":[`, `{"type":"text","text":"a"}`, `]}]}]}`},
		"messages: results":       {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[`, `{"type":"tool_result","tool_use_id":"c","content":"a"}`, `]}]}`},
		"messages: a source":      {"/v1/messages", messages + `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64",`, `"data":"YQ=="`, `}}]}]}`},
		"messages: one text":      {"/v1/messages", messages + `"messages":[{"role":"user","content":"`, `Hello \"world\"`, `"}]}`},
		"messages: system":        {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"}],"system":[`, `{"type":"text","text":"a"}`, `]}`},
		"messages: tools":         {"/v1/messages", messages + `"messages":[{"role":"user","content":"a"}],"tools":[`, `{"name":"f%d","input_schema":{"type":"object"}}`, `]}`},
		"embeddings: inputs":      {"/v1/embeddings", chat + `"input":[`, `"a"`, `]}`},
		"responses: items":        {"/v1/responses", chat + `"input":[`, `{"role":"user","content":[{"type":"input_text","text":"a"}]}`, `]}`},
		"responses: parts":        {"/v1/responses", chat + `"input":[{"role":"user","content":[`, `{"type":"input_text","text":"a"}`, `]}]}`},
	}
}
