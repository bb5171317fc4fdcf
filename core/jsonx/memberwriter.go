package jsonx

import (
	"bytes"
	"io"

	"github.com/tidwall/gjson"
)

// A MemberWriter writes a JSON object while it arrives, with some members of the object replaced. It holds back members of up to 4 KiB until they
// are complete; larger ones, and all members of members, pass unchanged. It does not validate the JSON.
type MemberWriter struct {
	to      io.Writer
	replace func(key string, value []byte) []byte

	depth    int    // of what the next byte is in: 1 is the object itself
	inString bool   // the next byte is in a string
	escaped  bool   // and follows a backslash
	inValue  bool   // the next byte is in a member's value, at any depth
	key      []byte // the member's, with its quotes; one above longestKey is cut
	value    []byte // what is held back of the member's value
	holding  bool
	out      []byte // to be written; reused
	replaced int    // members
}

// Limits of what a MemberWriter holds, in bytes, and of the members that it may replace: each replacement costs a digest, and may be longer.
const (
	longestKey   = 64
	longestValue = 4 << 10
	mostReplaced = 1000
	memberPiece  = 64 << 10 // written at once
)

// NewMemberWriter returns a MemberWriter to w. replace returns the new value of a member; it is called for the first 1,000 small ones.
func NewMemberWriter(w io.Writer, replace func(key string, value []byte) []byte) *MemberWriter {
	return &MemberWriter{to: w, replace: replace}
}

// Write implements io.Writer.
func (w *MemberWriter) Write(b []byte) (int, error) {
	for from := 0; from < len(b); from += memberPiece {
		w.out = w.out[:0]
		w.take(b[from:min(from+memberPiece, len(b))])
		if _, err := w.to.Write(w.out); err != nil {
			return from, err
		}
	}
	return len(b), nil
}

func (w *MemberWriter) take(b []byte) {
	for at := 0; at < len(b); {
		if n := w.plain(b[at:]); n > 0 {
			w.pass(b[at : at+n])
			at += n
			continue
		}
		w.step(b[at])
		at++
	}
}

// plain returns how many bytes of b stand within a string, with nothing special among them.
func (w *MemberWriter) plain(b []byte) int {
	if !w.inString || w.escaped {
		return 0
	}
	if n := bytes.IndexAny(b, `"\`); n >= 0 {
		return n
	}
	return len(b)
}

// step takes a byte that may change where the next one is.
func (w *MemberWriter) step(c byte) {
	switch {
	case w.escaped:
		w.escaped = false
	case w.inString:
		w.escaped = c == '\\'
		w.inString = c != '"'
	case c == '"':
		w.inString = true
		if w.depth == 1 && !w.inValue {
			w.key = w.key[:0]
		}
	case c == ':' && w.depth == 1:
		w.pass([]byte{c})
		w.inValue, w.holding, w.value = true, true, w.value[:0]
		return
	case c == ',' && w.depth == 1:
		w.end()
	case c == '{' || c == '[':
		w.depth++
	case c == '}' || c == ']':
		if w.depth == 1 {
			w.end()
		}
		w.depth--
	}
	w.pass([]byte{c})
}

// pass takes bytes of the text: they are held back, or to be written.
func (w *MemberWriter) pass(b []byte) {
	switch {
	case w.holding && len(w.value)+len(b) <= longestValue:
		w.value = append(w.value, b...)
		return
	case w.holding:
		w.release(w.value)
	case w.depth == 1 && !w.inValue:
		w.key = append(w.key, b[:min(len(b), longestKey+1-len(w.key))]...)
	}
	w.out = append(w.out, b...)
}

// end ends a member, if one has begun.
func (w *MemberWriter) end() {
	if w.holding {
		value := w.value
		if len(w.key) <= longestKey && w.replaced < mostReplaced {
			w.replaced++
			value = w.replace(gjson.ParseBytes(w.key).String(), value)
		}
		w.release(value)
	}
	w.inValue = false
}

func (w *MemberWriter) release(value []byte) {
	w.holding = false
	w.out = append(w.out, value...)
}
