package messages

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/provider/chat"
	"github.com/berrygate/berry/core/provider/strictjson"
)

// A chatMessage is one of a chat.
type chatMessage struct {
	Role       string      `json:"role"`
	Content    any         `json:"content"` // a text, or []part; nil is none
	ToolCalls  []chat.Call `json:"tool_calls,omitempty"`
	ToolCallID string      `json:"tool_call_id,omitempty"`
}

// A part is a piece of a content.
type part struct {
	Type  string `json:"type"`
	Text  string `json:"text,omitempty"`
	Image *image `json:"image_url,omitempty"`
	File  *file  `json:"file,omitempty"`
}

type image struct {
	URL string `json:"url"`
}

type file struct {
	Name string `json:"filename"`
	Data string `json:"file_data"`
}

// content returns the parts as most servers want them: a text alone as such.
func content(parts []part) any {
	switch {
	case len(parts) == 0:
		return ""
	case len(parts) == 1 && parts[0].Type == "text":
		return parts[0].Text
	default:
		return parts
	}
}

// A turn is a message in the making.
type turn struct {
	role    string
	parts   []part
	calls   []chat.Call
	results []chatMessage
	shown   []part // what the results have that is no text
}

// message reads a message. Results of tools come first, each in a message of its own, as OpenAI wants them after their calls; a tool
// may say text only there, so that what it shows is a user's.
func (r *request) message(v strictjson.Value) {
	t := turn{role: v.Get("role").Str}
	v.Members(func(key string, v strictjson.Value) {
		switch {
		case key == "role":
			if !slices.Contains([]string{"user", "assistant", "system"}, v.Text()) {
				v.Unsupported()
			}
		case key != "content":
			v.Unsupported()
		case v.Type == gjson.String:
			t.text(v.Str)
		default:
			v.Elements(t.block)
		}
	})
	if t.role == "" {
		v.Fail("must have a role.")
	}
	r.Messages = append(r.Messages, t.results...)
	r.prefill = nil
	m := chatMessage{Role: t.role, ToolCalls: t.calls}
	switch parts := slices.Concat(t.shown, t.parts); {
	case t.role == "assistant" && len(t.calls)+len(parts) == 0: // of thoughts alone, which are not told again
		return
	case t.role == "assistant":
		if r.prefill = v.At; len(parts) > 0 {
			m.Content = joined(parts)
		}
	case len(parts) == 0 && len(t.results) > 0:
		return
	default:
		m.Content = content(parts)
	}
	r.Messages = append(r.Messages, m)
}

// joined returns the texts of the parts as one.
func joined(parts []part) string {
	if len(parts) == 1 {
		return parts[0].Text
	}
	var out strings.Builder
	for _, p := range parts {
		out.WriteString(p.Text)
	}
	return out.String()
}

func (t *turn) text(s string) {
	if s != "" { // says nothing
		t.parts = append(t.parts, part{Type: "text", Text: s})
	}
}

// block reads a block of the message's content.
func (t *turn) block(v strictjson.Value) {
	shows := t.role == "user" || t.role == "tool"
	switch kind := v.Get("type").Str; {
	case kind == "text":
		t.text(text(v))
	case kind == "image" && shows:
		t.parts = append(t.parts, picture(v))
	case kind == "document" && shows:
		t.parts = append(t.parts, document(v)...)
	case kind == "tool_result" && t.role == "user":
		t.result(v)
	case kind == "tool_use" && t.role == "assistant":
		t.calls = append(t.calls, use(v))
	case (kind == "thinking" || kind == "redacted_thinking") && t.role == "assistant": // what models are not told again
	default:
		v.Unsupported()
	}
}

// text returns the text of a block.
func text(v strictjson.Value) string {
	out := ""
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "text":
			out = v.Text()
		case "type", "cache_control", "citations": // of an answer: what models are not told again
		default:
			v.Unsupported()
		}
	})
	return out
}

// texts returns one text, or the blocks of several.
func texts(v strictjson.Value) []part {
	var t turn
	if v.Type == gjson.String {
		t.text(v.Str)
	} else {
		v.Elements(func(v strictjson.Value) {
			if v.Get("type").Str != "text" {
				v.Unsupported()
			}
			t.text(text(v))
		})
	}
	return t.parts
}

func picture(v strictjson.Value) part {
	p := part{Type: "image_url", Image: &image{}}
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "source":
			switch v.Get("type").Str {
			case "url":
				p.Image.URL = v.Get("url").Str
			case "base64":
				p.Image.URL = dataURL(v)
			default:
				v.Unsupported()
			}
		case "type", "cache_control":
		default:
			v.Unsupported()
		}
	})
	if p.Image.URL == "" {
		v.Fail("must have a source with data or a url.")
	}
	return p
}

// dataURL returns a source's data as a URL (RFC 2397).
func dataURL(v strictjson.Value) string {
	return "data:" + v.Get("media_type").Str + ";base64," + v.Get("data").Str
}

// document returns a document's parts: the file that it is, or its text.
func document(v strictjson.Value) []part {
	var t turn
	name := "document.pdf"
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "source":
			t.source(v)
		case "title":
			name = v.Text()
		case "citations":
			v.Only(`{"enabled":false}`)
		case "type", "cache_control":
		default:
			v.Unsupported()
		}
	})
	for _, p := range t.parts {
		if p.File != nil {
			p.File.Name = name
		}
	}
	return t.parts
}

// source reads where a document comes from.
func (t *turn) source(v strictjson.Value) {
	kind, whole := v.Get("type").Str, v
	v.Members(func(key string, v strictjson.Value) {
		switch {
		case key == "type" || key == "media_type":
		case key == "data" && kind == "base64":
			t.parts = append(t.parts, part{Type: "file", File: &file{Data: dataURL(whole)}})
		case key == "data" && kind == "text":
			t.text(v.Text())
		case key == "content" && kind == "content":
			t.parts = append(t.parts, texts(v)...)
		default:
			v.Unsupported()
		}
	})
}

// use returns the call that an assistant has made.
func use(v strictjson.Value) chat.Call {
	c := chat.NewCall("", "", "{}", "")
	v.Members(func(key string, v strictjson.Value) {
		switch key {
		case "id":
			c.ID = v.Text()
		case "name":
			c.Function.Name = v.Text()
		case "input":
			c.Function.Arguments = chat.Compact(v.Object())
		case "caller":
			if v.Get("type").Str != "direct" {
				v.Unsupported()
			}
		case "type", "cache_control":
		default:
			v.Unsupported()
		}
	})
	if c.ID == "" || c.Function.Name == "" {
		v.Fail("must have an id and a name.")
	}
	return c
}

// result reads a tool's result. That it is an error, OpenAI's API can say in words only.
func (t *turn) result(v strictjson.Value) {
	said := turn{role: "tool"}
	m := chatMessage{Role: "tool"}
	failed := false
	v.Members(func(key string, v strictjson.Value) {
		switch {
		case key == "tool_use_id":
			m.ToolCallID = v.Text()
		case key == "content" && v.Type == gjson.String:
			said.text(v.Str)
		case key == "content":
			v.Elements(said.block)
		case key == "is_error":
			failed = v.Flag()
		case key != "type" && key != "cache_control":
			v.Unsupported()
		}
	})
	if m.ToolCallID == "" {
		v.Fail("must have a tool_use_id.")
	}
	var words []part
	for _, p := range said.parts {
		if p.Type == "text" {
			words = append(words, p)
		} else {
			t.shown = append(t.shown, p)
		}
	}
	if failed {
		words = append([]part{{Type: "text", Text: "Error: "}}, words...)
		words = []part{{Type: "text", Text: joined(words)}}
	}
	m.Content = content(words)
	t.results = append(t.results, m)
}
