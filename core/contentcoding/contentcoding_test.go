package contentcoding

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/berrygate/berry/internal/complexitytest"
)

// An encoder is one of a library's, which can flush.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// encoders are those of each coding.
func encoders() map[string]func(io.Writer) encoder {
	return map[string]func(io.Writer) encoder{
		"gzip":   func(w io.Writer) encoder { return gzip.NewWriter(w) },
		"x-gzip": func(w io.Writer) encoder { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) encoder {
			return zlib.NewWriter(w)
		},
		"br": func(w io.Writer) encoder { return brotli.NewWriter(w) },
		"zstd": func(w io.Writer) encoder {
			e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
			if err != nil {
				panic(err)
			}
			return e
		},
	}
}

// rawDeflate is what many servers take deflate for.
func rawDeflate(w io.Writer) encoder {
	e, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	return e
}

func encode(t testing.TB, e func(io.Writer) encoder, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := e(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(src io.Reader, codings ...string) ([]byte, error) {
	r, err := NewReader(io.NopCloser(src), codings)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestOf(t *testing.T) {
	for _, test := range []struct{ header, want []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"Identity"}, nil},
		{[]string{" GZIP "}, []string{"gzip"}},
		{[]string{"gzip,\tbr", "identity, , zstd"}, []string{"gzip", "br", "zstd"}},
	} {
		if got := Of(test.header); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.header, got, test.want)
		}
	}
}

// texts are what is encoded: nothing, little, and more than any buffer.
func texts() [][]byte {
	return [][]byte{{}, []byte(`{"a":1}`), []byte(strings.Repeat("some words that come again, ", 50_000))}
}

func TestReader(t *testing.T) {
	all := encoders()
	for coding, e := range all {
		for _, text := range texts() {
			b := encode(t, e, text)
			for _, src := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
				if got, err := decode(src, coding); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s: got %d bytes, %v; want %d", coding, len(got), err, len(text))
				}
			}
		}
	}
	text := texts()[2]
	if got, err := decode(bytes.NewReader(encode(t, rawDeflate, text)), "deflate"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("raw deflate: got %d bytes, %v", len(got), err)
	}
	twice := encode(t, all["br"], encode(t, all["gzip"], text))
	if got, err := decode(bytes.NewReader(twice), "gzip", "br"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("gzip, br: got %d bytes, %v", len(got), err)
	}
	for _, coding := range []string{"gzip", "zstd"} { // whose members, or frames, may follow one another
		b := encode(t, all[coding], []byte("one"))
		if got, err := decode(bytes.NewReader(append(b, encode(t, all[coding], []byte(" two"))...)), coding); err != nil || string(got) != "one two" {
			t.Errorf("%s: got %q, %v", coding, got, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, codings := range [][]string{{"compress"}, {"gzip", "aws-chunked"}, {"gzip", "gzip", "gzip", "gzip"}} {
		if _, err := decode(strings.NewReader("x"), codings...); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: got %v", codings, err)
		}
	}
}

// What is cut anywhere but before its first byte is never taken for the whole.
func TestTruncated(t *testing.T) {
	all := encoders()
	all["deflate, raw"] = rawDeflate
	for coding, e := range all {
		name, _, _ := strings.Cut(coding, ",")
		b := encode(t, e, []byte(strings.Repeat("some words that come again, ", 30)))
		for n := range b {
			got, err := decode(bytes.NewReader(b[:n]), name)
			switch {
			case n == 0 && (err != nil || len(got) != 0):
				t.Errorf("%s, empty: got %q, %v", coding, got, err)
			case n > 0 && !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("%s, %d of %d bytes: got %v, want an unexpected end", coding, n, len(b), err)
			}
		}
		cut := errors.New("cut")
		if _, err := decode(io.MultiReader(bytes.NewReader(b[:len(b)-1]), iotest.ErrReader(cut)), name); !errors.Is(err, cut) {
			t.Errorf("%s: got %v, want the body's own error", coding, err)
		}
	}
}

func TestInvalid(t *testing.T) {
	for coding, e := range encoders() {
		b := encode(t, e, []byte(strings.Repeat("some words that come again, ", 30)))
		for what, body := range map[string][]byte{
			"text":                   []byte(`{"error":{"message":"no","type":"x"}}`),
			"something at the end":   append(slices.Clone(b), strings.Repeat("tail", 20)...),
			"another byte at its 12": append(append(slices.Clone(b[:12]), ^b[12]), b[13:]...),
		} {
			if got, err := decode(bytes.NewReader(body), coding); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: got %q", coding, what, got)
			}
		}
	}
}

// What was flushed can be read though nothing follows it.
func TestFlushed(t *testing.T) {
	all := encoders()
	all["deflate, raw"] = rawDeflate
	for coding, e := range all {
		name, _, _ := strings.Cut(coding, ",")
		from, to := io.Pipe()
		go func() {
			w := e(to)
			for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
				_, _ = io.WriteString(w, event)
				_ = w.Flush()
			}
		}()
		r, err := NewReader(from, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len("data: 1\n\ndata: 2\n\n"))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != "data: 1\n\ndata: 2\n\n" {
			t.Errorf("%s: got %q, %v", coding, b, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Read(b); err == nil {
			t.Errorf("%s: it can be read after it was closed", coding)
		}
	}
}

// A small body that decodes to gigabytes, or to nothing after gigabytes of another coding, ends early with ErrInvalid.
func TestBombs(t *testing.T) {
	all := encoders()
	repeated := func(piece string, size int) string { return strings.Repeat(piece, size/len(piece)) }
	const skipped = "\x50\x2a\x4d\x18\x00\x00\x01\x00" // a skippable frame of 64 KiB (RFC 8878, section 3.1.2)
	for name, test := range map[string]struct {
		codings []string
		inner   string // in the last coding
	}{
		"spaces":                 {[]string{"br"}, repeated(" ", 64<<20)},
		"comments":               {[]string{"zstd"}, repeated(":\n\n", 64<<20)},
		"empty members in br":    {[]string{"gzip", "br"}, repeated(string(encode(t, all["gzip"], nil)), 64<<20)},
		"empty blocks in br":     {[]string{"deflate", "br"}, repeated("\x00\x00\x00\xff\xff", 64<<20)},
		"skippable frames in br": {[]string{"zstd", "br"}, repeated(skipped+strings.Repeat("\x00", 1<<16), 64<<20)},
		"empty members in zstd":  {[]string{"gzip", "zstd"}, repeated(string(encode(t, all["gzip"], nil)), 64<<20)},
		"spaces twice":           {[]string{"br", "br"}, string(encode(t, all["br"], []byte(repeated(" ", 64<<20))))},
	} {
		body := encode(t, all[test.codings[len(test.codings)-1]], []byte(test.inner))
		src := &counting{Reader: bytes.NewReader(body)}
		r, err := NewReader(io.NopCloser(src), test.codings)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, ErrInvalid) || n > max(freeOutput, maxRatio*int64(src.n))+1<<20 {
			t.Errorf("%s: got %d bytes of %d, %v; want ErrInvalid", name, n, len(body), err)
		}
	}
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// What compresses well is no bomb: a gzip of zeros, and megabytes of spaces.
func TestHighRatios(t *testing.T) {
	all := encoders()
	for coding, size := range map[string]int{"gzip": 32 << 20, "br": 16 << 20, "zstd": 16 << 20} {
		got, err := decode(bytes.NewReader(encode(t, all[coding], make([]byte, size))), coding)
		if err != nil || len(got) != size {
			t.Errorf("%s: got %d bytes, %v; want %d", coding, len(got), err, size)
		}
	}
}

// A stream of br that wants a window of 16 MiB gets none; servers' usual ones are decoded.
func TestBrotliWindow(t *testing.T) {
	for bits := 10; bits <= 24; bits++ {
		e := func(w io.Writer) encoder {
			return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: 5, LGWin: bits})
		}
		text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		got, err := decode(bytes.NewReader(encode(t, e, text)), "br")
		if bits <= 22 && (err != nil || !bytes.Equal(got, text)) || bits > 22 && !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bits: got %d bytes, %v", bits, len(got), err)
		}
	}
}

// A frame that wants a window of a gigabyte gets none.
func TestWindow(t *testing.T) {
	const magic, window = "\x28\xb5\x2f\xfd\x00", "\xa0" // RFC 8878, section 3.1.1.1: 1 GiB
	if _, err := decode(strings.NewReader(magic+window+"\x01\x00\x00"), "zstd"); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Whatever bytes come, they decode to an end or to one of the errors that are documented; what was encoded comes back.
func FuzzReader(f *testing.F) {
	all := encoders()
	for _, e := range all {
		f.Add(encode(f, e, []byte("some words that come again, some words that come again")))
	}
	f.Add(encode(f, rawDeflate, []byte("some words")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for coding, e := range all {
			r, err := NewReader(io.NopCloser(bytes.NewReader(b)), []string{coding})
			if err != nil {
				t.Fatal(err)
			}
			const most = 1 << 20
			complexitytest.BoundedAllocs(t, len(b)+most, func() { _, err = io.CopyN(io.Discard, r, most) })
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", coding, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if got, err := decode(bytes.NewReader(encode(t, e, b)), coding); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: got %d bytes, %v; want %d", coding, len(got), err, len(b))
			}
		}
	})
}
