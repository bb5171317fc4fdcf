package gemini

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

type content struct {
	Role  string `json:"role,omitempty"` // user, model
	Parts []part `json:"parts"`
}

// A part is a piece of content: one of its fields is set, and perhaps what is said of it.
type part struct {
	Text             string    `json:"text,omitempty"`
	InlineData       *data     `json:"inlineData,omitempty"`
	FileData         *file     `json:"fileData,omitempty"`
	FunctionCall     *call     `json:"functionCall,omitempty"`
	FunctionResponse *response `json:"functionResponse,omitempty"`
	Thought          bool      `json:"thought,omitempty"` // of Text: the model's reasoning
	Signature        string    `json:"thoughtSignature,omitempty"`
}

type data struct {
	MIMEType string `json:"mimeType"`
	Data     string `json:"data"`
}

type file struct {
	MIMEType string `json:"mimeType,omitempty"`
	URI      string `json:"fileUri"`
}

type call struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

type response struct {
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
}

// conversation returns the contents, and the system's apart, which has no place between the others. What a user, the model
// or tools say in a row is one content.
func conversation(model string, in []chat.Message) (system *content, out []content, err error) {
	names, before := map[string]string{}, ""
	for i := range in {
		m := &in[i]
		parts, err := said(model, m, names)
		switch {
		case err != nil:
			return nil, nil, err
		case len(parts) == 0:
			continue
		case m.Role == "system" && system == nil:
			system = &content{Parts: parts}
			continue
		case m.Role == "system":
			system.Parts = append(system.Parts, parts...)
			continue
		case m.Role == before:
			last := &out[len(out)-1]
			last.Parts = append(last.Parts, parts...)
			continue
		}
		role := "user" // also for what tools say
		if m.Role == "assistant" {
			role = "model"
		}
		out, before = append(out, content{role, parts}), m.Role
	}
	if len(out) == 0 {
		return nil, nil, adapter.Invalid("messages", "must have at least one that is not the system's, and not empty.")
	}
	return system, out, nil
}

// said returns a message's parts. names are those of the functions by the ids of their calls, up to this message.
func said(model string, m *chat.Message, names map[string]string) ([]part, error) {
	if m.Role == "tool" {
		name := names[m.ToolCallID]
		if name == "" {
			return nil, adapter.Invalid(m.At.Member("tool_call_id").String(), "must be that of one of the tool_calls before it.")
		}
		return []part{{FunctionResponse: &response{m.ToolCallID, name, result(m.Text())}}}, nil
	}
	parts := make([]part, 0, len(m.Parts)+len(m.ToolCalls))
	for i := range m.Parts {
		p, err := piece(&m.Parts[i])
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	for i, c := range m.ToolCalls {
		names[c.ID] = c.Name
		p := part{FunctionCall: &call{c.ID, c.Name, c.Arguments}, Signature: c.Signature}
		if i == 0 && p.Signature == "" && wantsSignatures(model) { // of calls at once, the first bears it
			p.Signature = unsigned
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// result returns a tool's result as an object: the one that it is, or one that holds it.
func result(text string) json.RawMessage {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") && json.Valid([]byte(trimmed)) {
		return json.RawMessage(trimmed)
	}
	return chat.Append(nil, map[string]string{"output": text})
}

func piece(p *chat.Part) (part, error) {
	switch {
	case p.Kind == "text":
		return part{Text: p.Text}, nil
	case p.Kind == "image" && p.Detail == "low":
		return part{}, adapter.Unsupported(p.At.Member("image_url").Member("detail").String())
	case p.Data != "":
		return part{InlineData: &data{p.MediaType, p.Data}}, nil
	case p.Kind == "image" && strings.HasPrefix(p.URL, "https://"):
		return part{FileData: &file{imageType(p.URL), p.URL}}, nil
	case p.Kind == "image":
		return part{}, adapter.Unsupported(p.At.Member("image_url").Member("url").String())
	default:
		return part{}, adapter.Unsupported(p.At.String())
	}
}

// imageType tells an image's type by its URL's end; "" if that does not tell.
func imageType(url string) string {
	url, _, _ = strings.Cut(url, "?")
	switch strings.ToLower(path.Ext(url)) {
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".webp":
		return "image/webp"
	case ".gif":
		return "image/gif"
	default:
		return ""
	}
}
