package relay

import "bytes"

// A shape is what an event shares with those that differ from it in the content of a few strings only, as the events of a
// stream do: they mean the same to the relay. To compare one with it takes a fraction of the time that a walk over it does
// (RATIONALE.md, "Why does the relay have a JSON reader of its own?").
type shape struct {
	text    []byte
	strings []span // in text, in their order: what may differ
}

// A span is where a string stands in a text, its quotes included.
type span struct{ begin, end int }

// What is larger than this is rarely followed by its like.
const (
	maxShape   = 4 << 10 // bytes
	maxStrings = 16
)

// set makes the text, which is valid JSON with the strings, the shape; it is copied.
func (s *shape) set(text []byte, strings []span) {
	s.text, s.strings = s.text[:0], s.strings[:0]
	if len(text) <= maxShape && len(strings) <= maxStrings {
		s.text, s.strings = append(s.text, text...), append(s.strings, strings...)
	}
}

// fits tells whether the text is valid JSON that differs from the shape in its strings only.
func (s *shape) fits(text []byte) bool {
	if len(s.text) == 0 {
		return false
	}
	c, from := cursor{text: text}, 0
	for _, hole := range s.strings {
		if !c.literal(s.text[from:hole.begin]) || !c.skip() {
			return false
		}
		from = hole.end
	}
	return bytes.Equal(text[c.at:], s.text[from:])
}
