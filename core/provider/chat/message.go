package chat

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// A Message is one of a conversation.
type Message struct {
	Role       string // "system", also for developers'; "user", "assistant", "tool"
	Parts      []Part
	ToolCalls  []ToolCall // an assistant's
	ToolCallID string     // a tool's: the call that it answers
	At         *Place
}

// A Part is a piece of a message's content.
type Part struct {
	Kind      string // "text", "image", "audio", "file"
	Text      string
	URL       string // of an image that is not Data
	MediaType string // of Data
	Data      string // base64
	Detail    string // of an image: "low", "high"; "" is left to the provider
	At        *Place
}

// A ToolCall is a call of a function that the model has asked for.
type ToolCall struct {
	ID        string
	Name      string
	Arguments []byte // a JSON object
	Signature string // what Gemini signed the call with
	At        *Place
}

// Text returns the texts of the parts, one behind the other. A message whose role allows nothing else has no other parts.
func (m *Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

func message(v value) Message {
	m := Message{At: v.at}
	var name value
	v.members(func(key string, v value) {
		switch key {
		case "role":
			m.Role = role(v)
		case "content":
			m.Parts = append(m.Parts, parts(v)...)
		case "refusal": // an assistant's: the text that it gave instead
			if text := v.text(); text != "" {
				m.Parts = append(m.Parts, Part{Kind: "text", Text: text, At: v.at})
			}
		case "tool_calls":
			v.elements(func(v value) { m.ToolCalls = append(m.ToolCalls, toolCall(v)) })
		case "tool_call_id":
			m.ToolCallID = v.text()
		case "name":
			name = v
		case "annotations", "reasoning_content", "reasoning", "extra_content": // of answers: what models are not told again
		default:
			v.unsupported()
		}
	})
	m.check(v)
	if name.Exists() && m.Role != "tool" { // a tool's is in the call
		name.unsupported()
	}
	return m
}

// check refuses what the message's role does not allow.
func (m *Message) check(v value) {
	notText := slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Kind != "text" })
	switch {
	case m.Role == "":
		v.fail("must have a role.")
	case m.Role != "user" && notText:
		v.fail("may have text only; images, audio and files are a user's.")
	case m.Role != "assistant" && len(m.ToolCalls) > 0:
		v.fail("has tool_calls, which only an assistant's message can.")
	case m.Role == "tool" && m.ToolCallID == "":
		v.fail("must have a tool_call_id.")
	}
}

func role(v value) string {
	switch r := v.text(); r {
	case "developer":
		return "system"
	case "system", "user", "assistant", "tool":
		return r
	default:
		v.unsupported()
		return ""
	}
}

// parts returns a content's parts. Empty texts say nothing, and some providers refuse them.
func parts(v value) []Part {
	if v.Type == gjson.String {
		if v.Str == "" {
			return nil
		}
		return []Part{{Kind: "text", Text: v.Str, At: v.at}}
	}
	var out []Part
	v.elements(func(v value) {
		if p := part(v); p.Kind != "text" || p.Text != "" {
			out = append(out, p)
		}
	})
	return out
}

func part(v value) Part {
	p := Part{At: v.at}
	v.members(func(key string, v value) {
		switch key {
		case "type": // the key that follows says the same
		case "text", "refusal":
			p.Kind, p.Text = "text", v.text()
		case "image_url":
			p.Kind = "image"
			v.members(p.image)
		case "input_audio":
			p.Kind = "audio"
			v.members(p.audio)
		case "file":
			p.Kind = "file"
			v.members(p.file)
		default:
			v.unsupported()
		}
	})
	if p.Kind == "" {
		v.fail("must be a part of a type that is known, such as text or image_url.")
	}
	return p
}

func (p *Part) image(key string, v value) {
	switch key {
	case "url":
		if url := v.text(); strings.HasPrefix(url, "data:") {
			p.dataURL(v)
		} else {
			p.URL = url
		}
	case "detail":
		switch p.Detail = v.text(); p.Detail {
		case "auto":
			p.Detail = ""
		case "low", "high":
		default:
			v.unsupported()
		}
	default:
		v.unsupported()
	}
}

func (p *Part) audio(key string, v value) {
	switch key {
	case "data":
		p.Data = v.text()
	case "format":
		p.MediaType = "audio/" + v.text()
	default:
		v.unsupported()
	}
}

func (p *Part) file(key string, v value) {
	switch key {
	case "file_data":
		p.dataURL(v)
	case "filename": // tells nothing that the data does not
		v.text()
	default:
		v.unsupported()
	}
}

// dataURL reads data:TYPE;base64,DATA (RFC 2397).
func (p *Part) dataURL(v value) {
	head, data, found := strings.Cut(v.text(), ",")
	mediaType, ok := strings.CutSuffix(strings.TrimPrefix(head, "data:"), ";base64")
	mediaType, _, _ = strings.Cut(mediaType, ";")
	if !found || !ok || mediaType == "" || data == "" {
		v.fail("must be data:TYPE;base64,DATA.")
		return
	}
	p.MediaType, p.Data = strings.ToLower(mediaType), data
}

func toolCall(v value) ToolCall {
	c := ToolCall{At: v.at}
	v.members(func(key string, v value) {
		switch key {
		case "id":
			c.ID = v.text()
		case "type":
			v.only(`"function"`)
		case "index": // of a stream's delta, which some clients send back
		case "function":
			v.members(func(key string, v value) {
				switch key {
				case "name":
					c.Name = v.text()
				case "arguments":
					c.Arguments = arguments(v)
				default:
					v.unsupported()
				}
			})
		case "extra_content":
			c.Signature = v.Get("google.thought_signature").Str
		default:
			v.unsupported()
		}
	})
	if c.ID == "" || c.Name == "" {
		v.fail("must have an id and a function with a name.")
	}
	if c.Arguments == nil {
		c.Arguments = []byte("{}")
	}
	return c
}

// arguments returns the object that a call's arguments hold, a string.
func arguments(v value) []byte {
	text := strings.TrimSpace(v.text())
	if text == "" {
		return nil
	}
	if !json.Valid([]byte(text)) || text[0] != '{' {
		v.fail("must hold a JSON object.")
	}
	return []byte(text)
}
