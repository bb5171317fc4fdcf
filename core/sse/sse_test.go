package sse

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berrygate/berry/internal/complexitytest"
)

// events reads a stream whole.
func events(r io.Reader, limit int) (out []string, err error) {
	sr := NewReader(r, limit)
	for {
		e, err := sr.Next()
		if err != nil {
			return out, err
		}
		out = append(out, string(e))
	}
}

func TestNext(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   []string
	}{
		"line feeds":       {"data: a\n\ndata: b\n\n", []string{"data: a\n\n", "data: b\n\n"}},
		"CRLF":             {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"data: a\r\n\r\n", "data: b\r\n\r\n"}},
		"carriage returns": {"data: a\r\rdata: b\r\r", []string{"data: a\r\r", "data: b\r\r"}},
		"fields":           {"event: x\nid: 1\ndata: a\ndata: b\n\n", []string{"event: x\nid: 1\ndata: a\ndata: b\n\n"}},
		"comment":          {": ping\n\ndata: a\n\n", []string{": ping\n\n", "data: a\n\n"}},
		"stray blank line": {"\ndata: a\n\n", []string{"\n", "data: a\n\n"}},
		"no blank line":    {"data: a\n\ndata: b\n", []string{"data: a\n\n", "data: b\n\n"}},
		"no line end":      {"data: a", []string{"data: a\n\n"}},
		"nothing":          {"", nil},
	} {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(test.stream), "by the byte": iotest.OneByteReader(strings.NewReader(test.stream)),
		} {
			got, err := events(r, 1<<10)
			if !errors.Is(err, io.EOF) || strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("%s, %s: %q, %v; want %q", name, how, got, err, test.want)
			}
		}
	}
}

// A connection that breaks takes the event under way with it; one that is too large ends the stream.
func TestErrors(t *testing.T) {
	cut := io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := events(cut, 1<<10); len(got) != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %q, %v", got, err)
	}
	if got, err := events(strings.NewReader("data: a\n\ndata: "+strings.Repeat("b", 100)+"\n\n"), 64); len(got) != 1 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %q, %v", got, err)
	}
}

// A large event makes the buffer large for as long as it is there: what follows it, and the next stream, find a small one.
func TestLargeEvents(t *testing.T) {
	const limit = 4 << 20
	large := "data: " + strings.Repeat("x", limit-100) + "\n\n"
	r := NewReader(strings.NewReader(large+strings.Repeat("data: a\n\n", room)), limit)
	if e, err := r.Next(); err != nil || string(e) != large || len(r.buf) < len(large) || cap(r.buf) > limit+limit/4 {
		t.Fatalf("got %d bytes in a buffer of %d, %v", len(e), cap(r.buf), err)
	}
	for range room {
		if e, err := r.Next(); err != nil || string(e) != "data: a\n\n" {
			t.Fatalf("got %q, %v", e, err)
		}
	}
	if len(r.buf) != room {
		t.Errorf("the buffer has %d bytes after small events, want %d", len(r.buf), room)
	}
	r.Reset(strings.NewReader(large))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if r.Reset(nil); len(r.buf) != room {
		t.Errorf("the buffer has %d bytes after a reset, want %d", len(r.buf), room)
	}
}

func TestData(t *testing.T) {
	for event, want := range map[string]string{
		"data: a\n\n": "a", "data:a\n\n": "a", "data:  a\r\n\r\n": " a", "data: a\ndata: b\n\n": "a\nb", "data\n\n": "",
		"event: data: x\n\n": "", ": data: x\n\n": "", "database: x\n\n": "", "id: 1\rdata: a\r\r": "a",
	} {
		if got := Data([]byte(event)); string(got) != want {
			t.Errorf("Data(%q) = %q, want %q", event, got, want)
		}
	}
	if Data([]byte(": ping\n\n")) != nil || Data([]byte("data:\n\n")) == nil {
		t.Error("an event without data and one with empty data must differ")
	}
}

// However a stream is cut into reads, the events are the same, and together they are the stream.
func FuzzReader(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\ndata: b\n\n: c\r\rdata"), uint8(3))
	f.Add([]byte("\r\n\n\r\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole []string
		var err error
		complexitytest.BoundedAllocs(t, len(stream), func() { whole, err = events(bytes.NewReader(stream), 1<<20) })
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		split, err := events(&stepReader{stream, int(step)%7 + 1}, 1<<20)
		if !errors.Is(err, io.EOF) || strings.Join(whole, "|") != strings.Join(split, "|") {
			t.Fatalf("in one read %q, in steps %q, %v", whole, split, err)
		}
		if joined := strings.Join(whole, ""); !strings.HasPrefix(joined, string(stream)) || len(joined) > len(stream)+2 {
			t.Fatalf("%q became %q", stream, joined)
		}
		for _, e := range whole {
			Data([]byte(e))
		}
	})
}

type stepReader struct {
	rest []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.step)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
