package anthropic

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/provider/chat"
)

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// A block is a piece of a message: which fields it has depends on its type.
type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	Source    *source         `json:"source,omitempty"`      // of image, document
	ID        string          `json:"id,omitempty"`          // of tool_use
	Name      string          `json:"name,omitempty"`        // of tool_use
	Input     json.RawMessage `json:"input,omitempty"`       // of tool_use
	ToolUseID string          `json:"tool_use_id,omitempty"` // of tool_result
	Content   []block         `json:"content,omitempty"`     // of tool_result
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
}

// conversation returns the messages, and the system's apart, which have no place between the others. Users and assistants
// take turns: what one says in a row is one message, and the results of tools are a user's.
func conversation(in []chat.Message) (system []block, out []message, err error) {
	for i := range in {
		m := &in[i]
		blocks, err := content(m)
		if err != nil {
			return nil, nil, err
		}
		role := "user"
		switch m.Role {
		case "system":
			system = append(system, blocks...)
			continue
		case "assistant":
			role = "assistant"
		}
		if n := len(out); n > 0 && out[n-1].Role == role {
			out[n-1].Content = append(out[n-1].Content, blocks...)
		} else if len(blocks) > 0 {
			out = append(out, message{role, blocks})
		}
	}
	if len(out) == 0 {
		return nil, nil, adapter.Invalid("messages", "must have at least one that is not the system's, and not empty.")
	}
	return system, out, nil
}

func content(m *chat.Message) ([]block, error) {
	if m.Role == "tool" {
		result := block{Type: "tool_result", ToolUseID: toolID(m.ToolCallID)}
		for _, p := range m.Parts {
			result.Content = append(result.Content, block{Type: "text", Text: p.Text})
		}
		return []block{result}, nil
	}
	blocks := make([]block, 0, len(m.Parts)+len(m.ToolCalls))
	for i := range m.Parts {
		b, err := part(&m.Parts[i])
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
	for _, c := range m.ToolCalls {
		blocks = append(blocks, block{Type: "tool_use", ID: toolID(c.ID), Name: c.Name, Input: c.Arguments})
	}
	return blocks, nil
}

// Types of images that the API takes.
func imageTypes() []string { return []string{"image/jpeg", "image/png", "image/gif", "image/webp"} }

func part(p *chat.Part) (block, error) {
	switch {
	case p.Kind == "text":
		return block{Type: "text", Text: p.Text}, nil
	case p.Kind == "image" && p.Detail == "low":
		return block{}, adapter.Unsupported(p.At.Member("image_url").Member("detail").String())
	case p.Kind == "image" && slices.Contains(imageTypes(), p.MediaType):
		return block{Type: "image", Source: &source{Type: "base64", MediaType: p.MediaType, Data: p.Data}}, nil
	case p.Kind == "image" && (strings.HasPrefix(p.URL, "https://") || strings.HasPrefix(p.URL, "http://")):
		return block{Type: "image", Source: &source{Type: "url", URL: p.URL}}, nil
	case p.Kind == "image":
		return block{}, adapter.Unsupported(p.At.Member("image_url").Member("url").String())
	case p.Kind == "file" && p.MediaType == "application/pdf":
		return block{Type: "document", Source: &source{Type: "base64", MediaType: p.MediaType, Data: p.Data}}, nil
	case p.Kind == "file":
		return block{}, adapter.Unsupported(p.At.Member("file").Member("file_data").String())
	default:
		return block{}, adapter.Unsupported(p.At.Member("input_audio").String())
	}
}

// toolID returns a call's id with underscores for what Anthropic's may not have: other providers' have dots and colons.
func toolID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
}
