package jsonx

import "bytes"

// A Template matches JSON texts that differ in the content of a few strings only, as the events of a stream do. Comparing an event with the
// template of the previous one takes a fraction of the time of scanning it (RATIONALE.md, "Why does the relay have a JSON reader of its own?").
type Template struct {
	text    []byte
	strings []Span // in text, in order: they may differ
}

// A Span is the position of a string in a text, quotes included.
type Span struct{ begin, end int }

// Larger events rarely repeat.
const (
	maxTemplate = 4 << 10 // bytes
	maxStrings  = 16
)

// Set makes a template of text, which is valid JSON and contains the strings. It copies both. A text that is too large matches nothing.
func (t *Template) Set(text []byte, strings []Span) {
	t.text, t.strings = t.text[:0], t.strings[:0]
	if len(text) <= maxTemplate && len(strings) <= maxStrings {
		t.text, t.strings = append(t.text, text...), append(t.strings, strings...)
	}
}

// Match reports whether the text is valid JSON that differs from the template in its strings only.
func (t *Template) Match(text []byte) bool {
	if len(t.text) == 0 {
		return false
	}
	c, from := Scanner{Text: text}, 0
	for _, hole := range t.strings {
		if !c.literal(t.text[from:hole.begin]) || !c.skipString() {
			return false
		}
		from = hole.end
	}
	return bytes.Equal(text[c.at:], t.text[from:])
}
