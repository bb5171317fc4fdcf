package relay

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

// A cursor walks once over a JSON text (RFC 8259), checks it and shows what it is made of. Every event of every stream is
// looked at: to check it first and look into it afterwards, as a library for any JSON does, takes more than twice as long
// (RATIONALE.md).
//
// Its methods step over what they name, and return false where the text is not JSON; then the cursor is of no more use.
type cursor struct {
	text    []byte
	at      int
	depth   int
	strings []span // that were stepped over as values: the first ones, one more than a shape may have
}

// maxDepth is how deep values may be nested; encoding/json has the same limit.
const maxDepth = 10_000

// peek steps over white space and returns the byte that follows; 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.text); c.at++ {
		switch b := c.text[c.at]; b {
		case ' ', '\n', '\t', '\r':
		default:
			return b
		}
	}
	return 0
}

// take steps over the byte, if it follows.
func (c *cursor) take(b byte) bool {
	if c.peek() != b || c.at == len(c.text) {
		return false
	}
	c.at++
	return true
}

// end tells whether nothing follows.
func (c *cursor) end() bool { return c.peek() == 0 && c.at == len(c.text) }

func (c *cursor) value() bool {
	switch c.peek() {
	case '{':
		return c.object(func([]byte) bool { return c.value() })
	case '[':
		return c.array(c.value)
	case '"':
		begin := c.at
		ok := c.skip()
		if len(c.strings) <= maxStrings {
			c.strings = append(c.strings, span{begin, c.at})
		}
		return ok
	case 't':
		return c.literal([]byte("true"))
	case 'f':
		return c.literal([]byte("false"))
	case 'n':
		return c.literal([]byte("null"))
	default:
		return c.number()
	}
}

// raw steps over a value and returns it as it is written.
func (c *cursor) raw() ([]byte, bool) {
	c.peek()
	begin := c.at
	ok := c.value()
	return c.text[begin:c.at], ok
}

// object calls member with each key of the object; member steps over the value.
func (c *cursor) object(member func(key []byte) bool) bool {
	return c.list('{', '}', func() bool {
		c.peek()
		key, ok := c.string()
		return ok && c.take(':') && member(key)
	})
}

// array calls element before each value of the array; element steps over it.
func (c *cursor) array(element func() bool) bool { return c.list('[', ']', element) }

func (c *cursor) list(open, end byte, item func() bool) bool {
	if c.depth++; c.depth > maxDepth || !c.take(open) {
		return false
	}
	defer func() { c.depth-- }()
	if c.take(end) {
		return true
	}
	for item() {
		if !c.take(',') {
			return c.take(end)
		}
	}
	return false
}

// string steps over a string and returns what stands between its quotes, unescaped.
func (c *cursor) string() ([]byte, bool) {
	begin := c.at
	if !c.skip() {
		return nil, false
	}
	s := c.text[begin+1 : c.at-1]
	if bytes.IndexByte(s, '\\') >= 0 {
		s = []byte(gjson.ParseBytes(c.text[begin:c.at]).Str)
	}
	return s, true
}

// skip steps over a string.
func (c *cursor) skip() bool {
	if c.at == len(c.text) || c.text[c.at] != '"' {
		return false
	}
	for c.at++; c.at < len(c.text); c.at++ {
		switch b := c.text[c.at]; {
		case b == '"':
			c.at++
			return true
		case b == '\\':
			if !c.escape() {
				return false
			}
		case b < ' ':
			return false
		}
	}
	return false
}

// escape stops at the last byte of an escape sequence.
func (c *cursor) escape() bool {
	c.at++
	if c.at >= len(c.text) {
		return false
	}
	switch c.text[c.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			c.at++
			if c.at >= len(c.text) || !isHex(c.text[c.at]) {
				return false
			}
		}
		return true
	}
	return false
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

// literal steps over the word.
func (c *cursor) literal(word []byte) bool {
	if !bytes.HasPrefix(c.text[c.at:], word) {
		return false
	}
	c.at += len(word)
	return true
}

func (c *cursor) number() bool {
	c.oneOf("-")
	if !c.oneOf("0") && !c.digits() {
		return false
	}
	if c.oneOf(".") && !c.digits() {
		return false
	}
	if c.oneOf("eE") {
		c.oneOf("+-")
		return c.digits()
	}
	return true
}

// oneOf steps over one of the bytes, if it follows.
func (c *cursor) oneOf(bytes string) bool {
	if c.at == len(c.text) || strings.IndexByte(bytes, c.text[c.at]) < 0 {
		return false
	}
	c.at++
	return true
}

func (c *cursor) digits() bool {
	begin := c.at
	for c.at < len(c.text) && '0' <= c.text[c.at] && c.text[c.at] <= '9' {
		c.at++
	}
	return c.at > begin
}
