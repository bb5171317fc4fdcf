package chat

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/strictjson"
)

// A Message is one of a conversation.
type Message struct {
	Role       string // "system", also for developers'; "user", "assistant", "tool"
	Parts      []Part
	ToolCalls  []ToolCall // an assistant's
	ToolCallID string     // a tool's: the call that it answers
	At         *strictjson.Place
}

// A Part is a piece of a message's content.
type Part struct {
	Kind      string // "text", "image", "audio", "file"
	Text      string
	URL       string // of an image that is not Data
	MediaType string // of Data
	Data      string // base64
	Detail    string // of an image: "low", "high"; "" is left to the provider
	At        *strictjson.Place
}

// A ToolCall is a call of a function that the model has asked for.
type ToolCall struct {
	ID        string
	Name      string
	Arguments []byte // a JSON object
	Signature string // what Gemini signed the call with
	At        *strictjson.Place
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

func message(v strictjson.Value) Message {
	m := Message{At: v.At}
	var name strictjson.Value
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "role":
			m.Role = role(v)
		case "content":
			m.Parts = append(m.Parts, parts(v)...)
		case "refusal": // an assistant's: the text that it gave instead
			if text := v.Text(); text != "" {
				m.Parts = append(m.Parts, Part{Kind: "text", Text: text, At: v.At})
			}
		case "tool_calls":
			v.Elements(func(v strictjson.Value) { m.ToolCalls = append(m.ToolCalls, toolCall(v)) })
		case "tool_call_id":
			m.ToolCallID = v.Text()
		case "name":
			name = v
		case "annotations", "reasoning_content", "reasoning", "extra_content": // of answers: what models are not told again
		default:
			v.Unsupported()
		}
	})
	m.check(v)
	if name.Exists() && m.Role != "tool" { // a tool's is in the call
		name.Unsupported()
	}
	return m
}

// check refuses what the message's role does not allow.
func (m *Message) check(v strictjson.Value) {
	notText := slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Kind != "text" })
	switch {
	case m.Role == "":
		v.Fail("must have a role.")
	case m.Role != "user" && notText:
		v.Fail("may have text only; images, audio and files are a user's.")
	case m.Role != "assistant" && len(m.ToolCalls) > 0:
		v.Fail("has tool_calls, which only an assistant's message can.")
	case m.Role == "tool" && m.ToolCallID == "":
		v.Fail("must have a tool_call_id.")
	}
}

func role(v strictjson.Value) string {
	switch r := v.Text(); r {
	case "developer":
		return "system"
	case "system", "user", "assistant", "tool":
		return r
	default:
		v.Unsupported()
		return ""
	}
}

// parts returns a content's parts. Empty texts say nothing, and some providers refuse them.
func parts(v strictjson.Value) []Part {
	if v.Type == gjson.String {
		if v.Str == "" {
			return nil
		}
		return []Part{{Kind: "text", Text: v.Str, At: v.At}}
	}
	var out []Part
	v.Elements(func(v strictjson.Value) {
		if p := part(v); p.Kind != "text" || p.Text != "" {
			out = append(out, p)
		}
	})
	return out
}

func part(v strictjson.Value) Part {
	p := Part{At: v.At}
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "type": // the key that follows says the same
		case "text", "refusal":
			p.Kind, p.Text = "text", v.Text()
		case "image_url":
			p.Kind = "image"
			v.Members(p.image)
		case "input_audio":
			p.Kind = "audio"
			v.Members(p.audio)
		case "file":
			p.Kind = "file"
			v.Members(p.file)
		default:
			v.Unsupported()
		}
	})
	if p.Kind == "" {
		v.Fail("must be a part of a type that is known, such as text or image_url.")
	}
	return p
}

func (p *Part) image(key string, v strictjson.Value) {
	switch key {
	case "url":
		if url := v.Text(); strings.HasPrefix(url, "data:") {
			p.dataURL(v)
		} else {
			p.URL = url
		}
	case "detail":
		switch p.Detail = v.Text(); p.Detail {
		case "auto":
			p.Detail = ""
		case "low", "high":
		default:
			v.Unsupported()
		}
	default:
		v.Unsupported()
	}
}

func (p *Part) audio(key string, v strictjson.Value) {
	switch key {
	case "data":
		p.Data = v.Text()
	case "format":
		p.MediaType = "audio/" + v.Text()
	default:
		v.Unsupported()
	}
}

func (p *Part) file(key string, v strictjson.Value) {
	switch key {
	case "file_data":
		p.dataURL(v)
	case "filename": // tells nothing that the data does not
		v.Text()
	default:
		v.Unsupported()
	}
}

// dataURL reads data:TYPE;base64,DATA (RFC 2397).
func (p *Part) dataURL(v strictjson.Value) {
	head, data, found := strings.Cut(v.Text(), ",")
	mediaType, ok := strings.CutSuffix(strings.TrimPrefix(head, "data:"), ";base64")
	mediaType, _, _ = strings.Cut(mediaType, ";")
	if !found || !ok || mediaType == "" || data == "" {
		v.Fail("must be data:TYPE;base64,DATA.")
		return
	}
	p.MediaType, p.Data = strings.ToLower(mediaType), data
}

func toolCall(v strictjson.Value) ToolCall {
	c := ToolCall{At: v.At}
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "id":
			c.ID = v.Text()
		case "type":
			v.Only(`"function"`)
		case "index": // of a stream's delta, which some clients send back
		case "function":
			v.Members(func(key string, v strictjson.Value) {
				switch key {
				case "name":
					c.Name = v.Text()
				case "arguments":
					c.Arguments = arguments(v)
				default:
					v.Unsupported()
				}
			})
		case "extra_content":
			c.Signature = v.Get("google.thought_signature").Str
		default:
			v.Unsupported()
		}
	})
	if c.ID == "" || c.Name == "" {
		v.Fail("must have an id and a function with a name.")
	}
	if c.Arguments == nil {
		c.Arguments = []byte("{}")
	}
	return c
}

// arguments returns the object that a call's arguments hold, a string.
func arguments(v strictjson.Value) []byte {
	text := strings.TrimSpace(v.Text())
	if text == "" {
		return nil
	}
	if !json.Valid([]byte(text)) || text[0] != '{' {
		v.Fail("must hold a JSON object.")
	}
	return []byte(text)
}
