package adapter

import (
	"bytes"
	"errors"
	"io"

	"github.com/berrygate/berry/core/sse"
)

// NewReader returns a reader of the stream that a translates from the provider's, src, whose events have at most limit bytes each. It
// translates together what one read of src returns. Events whose data is not JSON pass unchanged, so that the reader can count them;
// comments and events without data do not. resize is that of sse.Reader, and also accounts for translated events that have not been read; it
// may be nil.
func NewReader(src io.Reader, a ResponseTranslator, limit int, resize func(from, to int) error) io.Reader {
	events := sse.NewReader(src, limit)
	events.Resize = resize
	return &reader{events: events, answer: a, resize: resize}
}

// kept is the maximum size of a buffer that is reused, in bytes.
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

// account reports the buffer's size to resize: the reader may be slow.
func (r *reader) account() error {
	if r.resize == nil || cap(r.buf) == r.counted {
		return nil
	}
	from := r.counted
	r.counted = cap(r.buf)
	return r.resize(from, r.counted)
}

// fill translates the next event, and those that arrived with it.
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

// The maximum numbers of elements and members in a response and in an event. Real ones have fewer in 8 MiB, embeddings and the probabilities
// of 16,000 tokens with 20 alternatives included. Each may take some hundred bytes of memory, and an event's may become chunks.
const (
	wideAnswer = 1_000_000
	wideEvent  = 100_000
)

// ErrTooWide reports a response, or an event, with too many elements.
var ErrTooWide = errors.New("the answer has too many elements")

// TooWide reports whether a response has more than a million elements and members. Commas in strings count, too.
func TooWide(answer []byte) bool { return wider(answer, wideAnswer) }

func wider(b []byte, most int) bool { return len(b) > most && bytes.Count(b, []byte(",")) > most }

func (r *reader) translate(event, data []byte) {
	switch {
	case len(data) == 0:
	case wider(data, wideEvent):
		r.err = ErrTooWide
	case bytes.Equal(bytes.TrimSpace(data), []byte("[DONE]")): // OpenAI's terminal event, which some providers add
		r.buf = r.answer.End(r.buf, true)
	default:
		var ok bool
		if r.buf, ok = r.answer.Event(r.buf, data); !ok {
			r.buf = append(r.buf, event...)
		}
	}
}
