package responses

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/jsonx"
)

// rename returns the edits that give a response, or an event, the client's ids of responses and its model.
func rename(root gjson.Result, n api.Names) []jsonx.Edit {
	if !root.IsObject() {
		return nil
	}
	var edits []jsonx.Edit
	response := root
	if inner := root.Get("response"); inner.IsObject() {
		response = inner
		edits = append(edits, idEdits(root, n, "response_id")...)
		edits = append(edits, idEdits(response, n, "id", "previous_response_id")...)
	} else {
		edits = append(edits, idEdits(root, n, "id", "previous_response_id", "response_id")...)
	}
	if model := response.Get("model"); n.Model != "" && model.Type == gjson.String {
		edits = append(edits, jsonx.Edit{Value: model, Text: n.Model})
	}
	if failed := response.Get("error"); root.Get("type").Str == "error" || failed.Exists() && failed.Type != gjson.Null {
		return quotedIDs(root, n.Stored, edits) // the error may quote the id
	}
	return edits
}

// idEdits returns the edits of those of the object's members with the names that are ids of responses.
func idEdits(object gjson.Result, n api.Names, names ...string) []jsonx.Edit {
	var edits []jsonx.Edit
	for _, name := range names {
		if id := object.Get(name); id.Type == gjson.String && id.Str != "" {
			if ours := n.ID(id.Str); ours != id.Str {
				edits = append(edits, jsonx.Edit{Value: id, Text: ours})
			}
		}
	}
	return edits
}

// Limits of the search for ids within an error. No error of the API comes near them.
const (
	maxDepth  = 16
	maxQuotes = 1000
)

// ReplaceID returns a provider's error with the client's id of the stored response in place of the provider's, wherever it is quoted. s may be nil.
func ReplaceID(text []byte, s *api.Stored) []byte {
	if s == nil || !bytes.Contains(text, []byte(s.ProviderID)) {
		return text
	}
	if !jsonx.Valid(text) {
		q := quotes{Stored: s, left: maxQuotes}
		return []byte(q.replace(string(text)))
	}
	return jsonx.Apply(text, quotedIDs(jsonx.View(text), s, nil))
}

// quotedIDs adds the edits of all strings within the value that quote the id of the stored response. s may be nil.
func quotedIDs(v gjson.Result, s *api.Stored, edits []jsonx.Edit) []jsonx.Edit {
	if s == nil {
		return edits
	}
	q := quotes{Stored: s, left: maxQuotes, edits: edits}
	q.find(v, 0)
	return q.edits
}

// quotes replaces the quotes of an id, left of them at most.
type quotes struct {
	*api.Stored
	left  int
	edits []jsonx.Edit
}

// find collects the edits within a value at the depth.
func (q *quotes) find(v gjson.Result, depth int) {
	switch {
	case v.Type == gjson.String:
		if text := q.replace(v.Str); text != v.Str {
			q.edits = append(q.edits, jsonx.Edit{Value: v, Text: text})
		}
	case v.Type == gjson.JSON && depth < maxDepth:
		v.ForEach(func(_, inner gjson.Result) bool {
			q.find(inner, depth+1)
			return q.left > 0
		})
	}
}

// replace returns the text with the client's id in place of the provider's, where that is a word of its own.
func (q *quotes) replace(text string) string {
	var out strings.Builder
	from := 0
	for at := strings.Index(text, q.ProviderID); at >= 0 && q.left > 0; {
		end := at + len(q.ProviderID)
		if !inWord(text, at-1) && !inWord(text, end) {
			out.WriteString(text[from:at])
			out.WriteString(q.GatewayID)
			from = end
			q.left--
		}
		next := strings.Index(text[end:], q.ProviderID)
		if next < 0 {
			break
		}
		at = end + next
	}
	return out.String() + text[from:]
}

// inWord reports whether the byte at the index belongs to a word, such as an id.
func inWord(text string, at int) bool {
	return at >= 0 && at < len(text) && (text[at] == '_' || text[at] == '-' || strings.IndexByte(alphanumerics, text[at]) >= 0)
}

const alphanumerics = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
