package adapter

import (
	"bytes"
	"errors"
	"io"

	"github.com/berrygate/berry/core/sse"
)

// NewReader returns a reader of the stream that a translates from the provider's, src, whose events have at most limit
// bytes each. What one read of src brings is read at once. Events whose data is no JSON pass as they are, so that whoever
// reads can tell that something was lost; comments and events without data do not. resize is that of sse.Reader, and is called for what has been
// translated and not read yet, too; it may be nil.
func NewReader(src io.Reader, a ResponseTranslator, limit int, resize func(from, to int) error) io.Reader {
	events := sse.NewReader(src, limit)
	events.Resize = resize
	return &reader{events: events, answer: a, resize: resize}
}

// kept is how large a buffer may be that is used again, in bytes.
const kept = 1 << 20

type reader struct {
	events *sse.Reader
	answer ResponseTranslator
	buf    []byte // translated
	read   int    // of buf
	err    error  // after buf

	resize  func(from, to int) error // accounts for buf's size; nil does not
	counted int                      // what it knows
}

func (r *reader) Read(p []byte) (int, error) {
	for r.read == len(r.buf) {
		if r.err != nil {
			return 0, r.err
		}
		if r.buf, r.read = r.buf[:0], 0; cap(r.buf) > kept {
			r.buf = nil
		}
		r.fill()
		if err := r.account(); err != nil {
			r.buf, r.err = nil, err
		}
	}
	n := copy(p, r.buf[r.read:])
	r.read += n
	return n, nil
}

// account tells resize how large buf is now: its reader may be slow.
func (r *reader) account() error {
	if r.resize == nil || cap(r.buf) == r.counted {
		return nil
	}
	from := r.counted
	r.counted = cap(r.buf)
	return r.resize(from, r.counted)
}

// fill translates the next event, and those that have arrived with it.
func (r *reader) fill() {
	for {
		event, err := r.events.Next()
		switch {
		case errors.Is(err, io.EOF):
			r.buf, r.err = r.answer.End(r.buf, false), err
			return
		case err != nil:
			r.err = err
			return
		}
		r.translate(event, sse.Data(event))
		if !r.events.Buffered() || len(r.buf) > kept {
			return
		}
	}
}

// How many elements and members an answer, or one event of a stream, may have. It is more than any has in 8 MiB, embeddings and the
// probabilities of 16,000 tokens with 20 others each among them; but each may take some hundred bytes, however little it says, and what an
// event says may become a chunk of its own.
const (
	wideAnswer = 1_000_000
	wideEvent  = 100_000
)

// ErrTooWide is an answer, or an event, with more elements and members than any that is meant.
var ErrTooWide = errors.New("the answer has too many elements")

// TooWide reports whether an answer has more than a million elements and members. It counts commas, in texts, too.
func TooWide(answer []byte) bool { return wider(answer, wideAnswer) }

func wider(b []byte, most int) bool { return len(b) > most && bytes.Count(b, []byte(",")) > most }

func (r *reader) translate(event, data []byte) {
	switch {
	case len(data) == 0:
	case wider(data, wideEvent):
		r.err = ErrTooWide
	case bytes.Equal(bytes.TrimSpace(data), []byte("[DONE]")): // OpenAI's terminal, which some add to their own
		r.buf = r.answer.End(r.buf, true)
	default:
		var ok bool
		if r.buf, ok = r.answer.Event(r.buf, data); !ok {
			r.buf = append(r.buf, event...)
		}
	}
}
