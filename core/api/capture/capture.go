// Package capture collects the texts of requests and responses for traces, as JSON in the format of the GenAI conventions
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/): a list of messages, each with parts.
package capture

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/jsonx"
)

// Limits of what is captured.
const (
	maxMessages = 1000 // of a request, even if they have no text
	maxChoices  = 16   // of a response
	maxRole     = 20   // bytes of a role's name
)

// A message is one of a list.
type message struct {
	Role   string `json:"role"`
	Parts  []part `json:"parts"`
	Finish string `json:"finish_reason,omitempty"`
}

type part struct {
	Type    string `json:"type"`
	Content string `json:"content"`
}

func newMessage(role, text string) message { return message{Role: role, Parts: []part{{"text", text}}} }

// An Input collects the messages of a request, up to a number of bytes of text.
type Input struct {
	left     int
	messages []message
}

// NewInput returns an Input for at most limit bytes of text.
func NewInput(limit int) *Input { return &Input{left: limit} }

// Add adds a message with the content: a string, or a list of parts with texts. It reports whether there is room for more.
func (in *Input) Add(role string, content gjson.Result) bool {
	s := text(content, in.left)
	in.left -= len(s)
	in.messages = append(in.messages, newMessage(jsonx.Truncate(role, maxRole), s))
	return in.left > 0 && len(in.messages) < maxMessages
}

// Instructions returns the instructions of a request, which are no message, as JSON; "" if there are none.
func (in *Input) Instructions(content gjson.Result) string {
	if content.Type != gjson.String {
		return ""
	}
	s := jsonx.Truncate(content.Str, in.left)
	in.left -= len(s)
	return marshal([]part{{"text", s}})
}

// String returns the messages as JSON; "" if there are none.
func (in *Input) String() string { return marshal(in.messages) }

// An Output collects the texts of a response's choices, piece by piece, up to a number of bytes.
type Output struct {
	left    int
	choices [][]byte
}

// NewOutput returns an Output for at most limit bytes of text.
func NewOutput(limit int) *Output { return &Output{left: limit} }

// Add adds the next piece of a choice: a string, or a list of parts with texts.
func (out *Output) Add(choice int, content gjson.Result) {
	if choice < 0 || choice >= maxChoices {
		return
	}
	for len(out.choices) <= choice {
		out.choices = append(out.choices, nil)
	}
	s := text(content, out.left)
	out.choices[choice] = append(out.choices[choice], s...)
	out.left -= len(s)
}

// JSON returns the choices as messages with their finish reasons; "" if there are none.
func (out *Output) JSON(finish []string) string {
	var list []message
	for i, s := range out.choices {
		m := newMessage("assistant", string(s))
		if i < len(finish) {
			m.Finish = finish[i]
		}
		list = append(list, m)
	}
	return marshal(list)
}

// text returns the text of a message's content, up to limit bytes of it.
func text(content gjson.Result, limit int) string {
	if content.Type == gjson.String {
		return jsonx.Truncate(content.Str, limit)
	}
	var out strings.Builder
	content.ForEach(func(_, p gjson.Result) bool {
		text := p.Get("text").String()
		taken := jsonx.Truncate(text, limit-out.Len())
		out.WriteString(taken)
		return len(taken) == len(text)
	})
	return out.String()
}

// marshal returns the list as JSON; "" if it is empty.
func marshal[T message | part](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(b)
}
