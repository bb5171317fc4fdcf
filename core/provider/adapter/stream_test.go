package adapter

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berrygate/berry/core/sse"
)

// echo says each event's data twice, and that the stream has ended.
type echo struct{ ResponseTranslator }

func (echo) Event(dst, data []byte) ([]byte, bool) {
	if !json.Valid(data) {
		return dst, false
	}
	return append(append(append(dst, data...), data...), '\n'), true
}

func (echo) End(dst []byte, done bool) []byte {
	if done {
		return append(dst, "done "...)
	}
	return append(dst, "end"...)
}

func TestReader(t *testing.T) {
	for stream, want := range map[string]string{
		"":                                  "end",
		"event: a\ndata: 1\n\ndata: 2\n\n":  "11\n22\nend",
		"data: 1":                           "11\nend", // the last one's end is missing
		": comment\n\nid: 1\n\ndata: 1\n\n": "11\nend",
		"data: 1\n\ndata: [DONE]\n\n":       "11\ndone end",
		"data: 1\n\ndata: {broken\n\n":      "11\ndata: {broken\n\nend",
	} {
		for _, src := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
			if got, err := io.ReadAll(NewReader(src, echo{}, 100, nil)); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v; want %q", stream, got, err, want)
			}
		}
	}
}

// A stream that breaks has no end; nor has one with an event that is too large.
func TestReaderFails(t *testing.T) {
	cut := io.MultiReader(strings.NewReader("data: 1\n\ndata: 2"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := io.ReadAll(NewReader(cut, echo{}, 100, nil)); !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "11\n" {
		t.Errorf("%q, %v", got, err)
	}
	large := strings.NewReader("data: 1\n\ndata: " + strings.Repeat("2", 200))
	if got, err := io.ReadAll(NewReader(large, echo{}, 100, nil)); !errors.Is(err, sse.ErrTooLarge) || string(got) != "11\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// However long a stream is, what is held of it is no more than what arrives at once.
func TestReaderHoldsLittle(t *testing.T) {
	const event, times = "data: {\"text\":\"some text\"}\n\n", 500_000
	r := NewReader(io.LimitReader(&repeated{text: event}, int64(len(event)*times)), echo{}, 1<<20, nil)
	n, err := io.Copy(io.Discard, r)
	held := cap(r.(*reader).buf)
	if err != nil || n < times*int64(len(`{"text":"some text"}`)) || held > 256<<10 {
		t.Errorf("%d bytes, %v; %d are held", n, err, held)
	}
}

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
