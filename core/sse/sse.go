// Package sse splits a stream of server-sent events (WHATWG HTML, section 9.2) into events without changing a byte.
package sse

import (
	"bytes"
	"errors"
	"io"
)

// ErrTooLarge is an event above the reader's limit.
var ErrTooLarge = errors.New("sse: event too large")

// A Reader reads events. It is not safe for concurrent use.
type Reader struct {
	// Resize, if not nil, is called before the buffer changes its size, which is 32 KiB unless an event is larger. An error ends the stream; it
	// is ignored where the buffer shrinks. Reset clears Resize after it has called it.
	Resize func(from, to int) error

	src   io.Reader
	buf   []byte
	limit int
	err   error // from src

	start  int // of the next event in buf
	line   int // of the line that is being looked at
	looked int // up to which that line has no end, if it is beyond line
	end    int // of what src has filled
}

// room is a reader's usual buffer, in bytes: what a provider sends at once is mostly read, and so passed on, at once.
const room = 32 << 10

// NewReader returns a reader of src's events, of at most limit bytes each.
func NewReader(src io.Reader, limit int) *Reader {
	r := &Reader{limit: limit}
	r.Reset(src)
	return r
}

// Reset makes r a reader of src's events, from the first one on. It keeps the buffer, so that what Next has returned is no
// longer valid; one that a large event has made large is let go.
func (r *Reader) Reset(src io.Reader) {
	r.shrink()
	*r = Reader{src: src, buf: r.buf, limit: r.limit}
}

// shrink lets a buffer go that a large event has made large. What is in it is lost.
func (r *Reader) shrink() {
	if usual := min(room, r.limit); len(r.buf) != usual {
		if r.Resize != nil {
			_ = r.Resize(len(r.buf), usual)
		}
		r.buf = make([]byte, usual)
	}
}

// Next returns the next event as its bytes, the blank line at its end included. They are valid until src is read again, which
// a call of Next does unless Buffered. A comment is an event without data. (Of lines that end in a carriage return alone, the
// last is seen to have ended when the next byte arrives.) If src ends cleanly within an event, the rest is returned with the
// line ends that it lacks. The error is src's, io.EOF after the last event, ErrTooLarge, or Resize's.
func (r *Reader) Next() ([]byte, error) {
	for {
		if end := r.boundary(); end >= 0 {
			event := r.buf[r.start:end]
			r.start, r.line = end, end
			return event, nil
		}
		if r.err != nil {
			return r.rest()
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// Buffered tells whether Next will return a whole event without reading.
func (r *Reader) Buffered() bool { return r.boundary() >= 0 }

// Ended tells whether src has nothing more; events of it may still be to come.
func (r *Reader) Ended() bool { return r.err != nil }

// boundary returns where the event at start ends, after its blank line; -1 if that has not been read yet.
func (r *Reader) boundary() int {
	for {
		rest, looked := r.buf[r.line:r.end], max(r.looked-r.line, 0)
		eol := endOfLine(rest[looked:])
		if eol < 0 {
			r.looked = r.end
			return -1
		}
		eol += looked
		next := eol + 1
		if rest[eol] == '\r' {
			if next == len(rest) && r.err == nil {
				return -1 // a line feed may follow
			}
			if next < len(rest) && rest[next] == '\n' {
				next++
			}
		}
		if eol == 0 {
			return r.line + next
		}
		r.line += next
	}
}

// endOfLine returns the index of the first line feed or carriage return; -1 if there is none. It looks not much further than there, so that
// lines that end in carriage returns alone cost what their length says.
func endOfLine(b []byte) int {
	for from, size := 0, 512; from < len(b); from, size = from+size, 2*size {
		piece := b[from:min(from+size, len(b))]
		lf := bytes.IndexByte(piece, '\n')
		if lf >= 0 {
			piece = piece[:lf]
		}
		if cr := bytes.IndexByte(piece, '\r'); cr >= 0 {
			return from + cr
		}
		if lf >= 0 {
			return from + lf
		}
	}
	return -1
}

// fill reads once more from src, into room that it makes.
func (r *Reader) fill() error {
	if r.start > 0 { // an event has been returned, and is not wanted any more
		rest := r.buf[r.start:r.end]
		if len(rest) < min(room, r.limit)/2 {
			r.shrink()
		}
		copy(r.buf, rest)
		r.line, r.looked, r.end, r.start = r.line-r.start, r.looked-r.start, r.end-r.start, 0
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= r.limit {
			return ErrTooLarge
		}
		larger := min(2*len(r.buf), r.limit)
		if r.Resize != nil {
			if err := r.Resize(len(r.buf), larger); err != nil {
				return err
			}
		}
		r.buf = append(r.buf, make([]byte, larger-len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end, r.err = r.end+n, err
	return nil
}

// rest returns what src left without a blank line when it ended.
func (r *Reader) rest() ([]byte, error) {
	left := r.buf[r.start:r.end]
	r.start, r.line = r.end, r.end
	if len(left) == 0 || !errors.Is(r.err, io.EOF) {
		return nil, r.err
	}
	if last := left[len(left)-1]; last != '\n' && last != '\r' {
		left = append(left[:len(left):len(left)], '\n')
	}
	return append(left[:len(left):len(left)], '\n'), nil
}

// Data returns the event's data: what follows "data:" in its lines, joined by line feeds; nil if it has none. It points
// into the event unless there are several such lines.
func Data(event []byte) []byte {
	event = bytes.TrimPrefix(event, []byte("\ufeff")) // a byte order mark may begin the stream
	var data []byte
	lines := 0
	for len(event) > 0 {
		line := event
		if eol := endOfLine(event); eol >= 0 {
			line, event = event[:eol], event[eol+1:]
		} else {
			event = nil
		}
		value, ok := bytes.CutPrefix(line, []byte("data"))
		if !ok || len(value) > 0 && value[0] != ':' {
			continue
		}
		value = bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" "))
		switch lines++; lines {
		case 1:
			data = value[:len(value):len(value)]
			continue
		case 2: // the first line is the event's, and stays as it is
			data = append(make([]byte, 0, len(data)+1+len(value)+len(event)), data...)
		}
		data = append(append(data, '\n'), value...)
	}
	if lines > 0 && data == nil {
		data = []byte{}
	}
	return data
}
