package relay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
)

// responseRenames is renames for the Responses API.
func (t *attemptRun) responseRenames(root gjson.Result) []change {
	if !root.IsObject() {
		return nil
	}
	var all []change
	response := root
	if inner := root.Get("response"); inner.IsObject() {
		response = inner
		all = append(all, t.idChanges(root, "response_id")...)
		all = append(all, t.idChanges(response, "id", "previous_response_id")...)
	} else {
		all = append(all, t.idChanges(root, "id", "previous_response_id", "response_id")...)
	}
	if model := response.Get("model"); t.x.Model.OwnName && model.Type == gjson.String {
		all = append(all, change{model, t.x.Model.Name})
	}
	if failed := response.Get("error"); root.Get("type").Str == "error" || failed.Exists() && failed.Type != gjson.Null {
		return quotes(root, t.x.Stored, all) // it may quote the id
	}
	return all
}

// gatewayID returns what a provider says of an error with the client's id of the stored response that the exchange names for the
// provider's, wherever in a text that stands.
func (t *attemptRun) gatewayID(said []byte) []byte {
	s := t.x.Stored
	if s == nil || !bytes.Contains(said, []byte(s.ProviderID)) {
		return said
	}
	if !jsonx.Valid(said) {
		return []byte((&quoted{Stored: s, left: quotedMost}).renamed(string(said)))
	}
	return apply(said, quotes(jsonx.View(said), s, nil))
}

// Within an error, ids are looked for so deep, and so many are renamed; no error of the API comes near to that.
const (
	quotedDepth = 16
	quotedMost  = 1000
)

// quotes adds to all the changes of the strings within the value that name the response. s may be nil: then there are none.
func quotes(v gjson.Result, s *core.Stored, all []change) []change {
	if s == nil {
		return all
	}
	q := quoted{Stored: s, left: quotedMost, changes: all}
	q.look(v, 0)
	return q.changes
}

// A quoted response is one that an error names. Of its names left are still changed.
type quoted struct {
	*core.Stored
	left    int
	changes []change
}

// look gathers the changes within the value, which stands at the depth.
func (q *quoted) look(v gjson.Result, depth int) {
	switch {
	case v.Type == gjson.String:
		if text := q.renamed(v.Str); text != v.Str {
			q.changes = append(q.changes, change{v, text})
		}
	case v.Type == gjson.JSON && depth < quotedDepth:
		v.ForEach(func(_, inner gjson.Result) bool {
			q.look(inner, depth+1)
			return q.left > 0
		})
	}
}

// renamed returns the text with the client's id of the response for the provider's, where that is a word of its own.
func (q *quoted) renamed(text string) string {
	inWord := func(at int) bool {
		if at < 0 || at >= len(text) {
			return false
		}
		c := text[at]
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	var out strings.Builder
	from := 0
	for at := strings.Index(text, q.ProviderID); at >= 0 && q.left > 0; {
		end := at + len(q.ProviderID)
		if !inWord(at-1) && !inWord(end) {
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

// A change is a string within a JSON text that gets another value.
type change struct {
	value gjson.Result
	text  string
}

// idChanges returns the changes of those of the object's members with the names that are ids of responses.
func (t *attemptRun) idChanges(object gjson.Result, names ...string) []change {
	var all []change
	for _, name := range names {
		if id := object.Get(name); id.Type == gjson.String && id.Str != "" {
			if ours := t.x.ResponseID(t.a.Backend, id.Str); ours != id.Str {
				all = append(all, change{id, ours})
			}
		}
	}
	return all
}

// apply makes the changes, the first of those of one value.
func apply(text []byte, all []change) []byte {
	if len(all) == 0 {
		return text
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(a.value.Index, b.value.Index) })
	out := make([]byte, 0, len(text)+256*len(all))
	from := 0
	for _, c := range all {
		if c.value.Index < from {
			continue
		}
		quoted, err := json.Marshal(c.text)
		if err != nil { // strings always marshal
			panic(err)
		}
		out = append(append(out, text[from:c.value.Index]...), quoted...)
		from = c.value.Index + len(c.value.Raw)
	}
	return append(out, text[from:]...)
}
