package jsonx

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"
)

// An Edit replaces a string in a JSON text. Value must have its Index in the text.
type Edit struct {
	Value gjson.Result
	Text  string // unquoted
}

// Apply returns the text with the edits, in any order; of several edits of one value the first applies. Without edits it returns the text itself.
func Apply(text []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return text
	}
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Compare(a.Value.Index, b.Value.Index) })
	out := make([]byte, 0, len(text)+256*len(edits))
	from := 0
	for _, e := range edits {
		if e.Value.Index < from {
			continue
		}
		out = append(append(out, text[from:e.Value.Index]...), quote(e.Text)...)
		from = e.Value.Index + len(e.Value.Raw)
	}
	return append(out, text[from:]...)
}

// quote returns a JSON string.
func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		panic(err)
	}
	return b
}
