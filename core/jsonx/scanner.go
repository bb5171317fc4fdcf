package jsonx

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

// A Scanner validates a JSON text (RFC 8259) and reads it in one pass. The relay reads every event of every stream: validating it first and
// reading it afterwards, as general JSON libraries do, takes more than twice as long (RATIONALE.md).
//
// Its methods read what they name and advance behind it. They return false if the text is not valid JSON; the Scanner must not be used
// afterwards.
type Scanner struct {
	Text    []byte // set before the first call, not changed
	Strings []Span // the first 17 strings that Skip and Raw passed, keys aside, for a Template; may be set to reuse memory

	at    int
	depth int
}

// maxDepth is the maximum nesting depth, as in encoding/json.
const maxDepth = 10_000

// Peek skips white space and returns the next byte without reading it; 0 at the end.
func (c *Scanner) Peek() byte {
	for ; c.at < len(c.Text); c.at++ {
		switch b := c.Text[c.at]; b {
		case ' ', '\n', '\t', '\r':
		default:
			return b
		}
	}
	return 0
}

// take reads b if it is next.
func (c *Scanner) take(b byte) bool {
	if c.Peek() != b || c.at == len(c.Text) {
		return false
	}
	c.at++
	return true
}

// AtEnd reports whether only white space remains.
func (c *Scanner) AtEnd() bool { return c.Peek() == 0 && c.at == len(c.Text) }

// Skip reads a value.
func (c *Scanner) Skip() bool {
	switch c.Peek() {
	case '{':
		return c.Object(func([]byte) bool { return c.Skip() })
	case '[':
		return c.Array(c.Skip)
	case '"':
		begin := c.at
		ok := c.skipString()
		if len(c.Strings) <= maxStrings {
			c.Strings = append(c.Strings, Span{begin, c.at})
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

// Raw reads a value and returns its JSON text.
func (c *Scanner) Raw() ([]byte, bool) {
	c.Peek()
	begin := c.at
	ok := c.Skip()
	return c.Text[begin:c.at], ok
}

// Object reads an object. It calls member with each key, unescaped; member reads the value and reports whether it is valid.
func (c *Scanner) Object(member func(key []byte) bool) bool {
	return c.list('{', '}', func() bool {
		c.Peek()
		key, ok := c.Str()
		return ok && c.take(':') && member(key)
	})
}

// Array reads an array. It calls element for each value; element reads the value and reports whether it is valid.
func (c *Scanner) Array(element func() bool) bool { return c.list('[', ']', element) }

func (c *Scanner) list(open, end byte, item func() bool) bool {
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

// Str reads a string and returns its content, unescaped.
func (c *Scanner) Str() ([]byte, bool) {
	begin := c.at
	if !c.skipString() {
		return nil, false
	}
	s := c.Text[begin+1 : c.at-1]
	if bytes.IndexByte(s, '\\') >= 0 {
		s = []byte(gjson.ParseBytes(c.Text[begin:c.at]).Str)
	}
	return s, true
}

// skipString reads a string.
func (c *Scanner) skipString() bool {
	if c.at == len(c.Text) || c.Text[c.at] != '"' {
		return false
	}
	for c.at++; c.at < len(c.Text); c.at++ {
		switch b := c.Text[c.at]; {
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

// escape advances to the last byte of an escape sequence.
func (c *Scanner) escape() bool {
	c.at++
	if c.at >= len(c.Text) {
		return false
	}
	switch c.Text[c.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			c.at++
			if c.at >= len(c.Text) || !isHex(c.Text[c.at]) {
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

// literal reads the word.
func (c *Scanner) literal(word []byte) bool {
	if !bytes.HasPrefix(c.Text[c.at:], word) {
		return false
	}
	c.at += len(word)
	return true
}

func (c *Scanner) number() bool {
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

// oneOf reads the next byte if it is one of these.
func (c *Scanner) oneOf(bytes string) bool {
	if c.at == len(c.Text) || strings.IndexByte(bytes, c.Text[c.at]) < 0 {
		return false
	}
	c.at++
	return true
}

func (c *Scanner) digits() bool {
	begin := c.at
	for c.at < len(c.Text) && '0' <= c.Text[c.at] && c.Text[c.at] <= '9' {
		c.at++
	}
	return c.at > begin
}
