package relay

import (
	"bytes"
	"io"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
)

// large relays an answer that is too large to be held: what is held is committed, the rest follows as it comes. If that is
// then cut, so is the client's connection, for nothing else would tell the client that the answer is not whole.
func (t *attemptRun) large(response *http.Response, held []byte) *core.Failure {
	if !bytes.HasPrefix(bytes.TrimLeft(held, " \t\r\n"), []byte("{")) {
		return notJSON(response, held)
	}
	if !t.limit.Stop() {
		return t.truncated(errSilent)
	}
	if !t.inTime() {
		return t.deadlinePassed()
	}
	t.answers()
	length := response.ContentLength
	if t.renames() {
		length = -1 // the client's ids and names have other lengths
	}
	t.begin(response, length)
	to := &memberWriter{to: t.to, replace: t.largeMember}
	if _, err := to.Write(held); err != nil {
		return clientLeft(err)
	}
	rest := &pausing{attemptRun: t, src: response.Body}
	_, err := io.Copy(to, rest)
	switch {
	case err == nil:
		return nil
	case rest.err == nil:
		return clientLeft(err)
	default:
		t.x.Aborted = true
		return t.truncated(rest.err)
	}
}

// largeMember returns the member of an answer as the client has it: ids of responses and the model are renamed as in smaller answers. It
// notes what the answer has used.
func (t *attemptRun) largeMember(key string, value []byte) []byte {
	switch key {
	case "usage":
		if t.x.Passthrough == nil {
			t.a.Usage = t.x.Operation.Protocol.Usage(jsonx.View(object(key, value)))
		}
	case "id", "previous_response_id", "response_id", "model":
		if t.renames() {
			member := object(key, value)
			renamed := t.rename(member)
			return renamed[len(member)-len(value)-1 : len(renamed)-1]
		}
	}
	return value
}

// object returns a JSON object with one member.
func object(key string, value []byte) []byte {
	return append(append([]byte(`{"`+key+`":`), value...), '}')
}

// A memberWriter passes a JSON object on while it comes. It holds each small member of the object back until that is whole, so that it can
// be replaced; what is within other members passes as it is. It does not check the JSON.
type memberWriter struct {
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

// Limits of what a memberWriter holds, in bytes, and of the members that it may replace: each replacement costs a digest, and may be longer.
const (
	longestKey   = 64
	longestValue = 4 << 10
	mostReplaced = 1000
)

// Write implements io.Writer.
func (w *memberWriter) Write(b []byte) (int, error) {
	for from := 0; from < len(b); from += piece {
		w.out = w.out[:0]
		w.take(b[from:min(from+piece, len(b))])
		if _, err := w.to.Write(w.out); err != nil {
			return from, err
		}
	}
	return len(b), nil
}

func (w *memberWriter) take(b []byte) {
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
func (w *memberWriter) plain(b []byte) int {
	if !w.inString || w.escaped {
		return 0
	}
	if n := bytes.IndexAny(b, `"\`); n >= 0 {
		return n
	}
	return len(b)
}

// step takes a byte that may change where the next one is.
func (w *memberWriter) step(c byte) {
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
func (w *memberWriter) pass(b []byte) {
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
func (w *memberWriter) end() {
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

func (w *memberWriter) release(value []byte) {
	w.holding = false
	w.out = append(w.out, value...)
}
