// Package contentcoding decodes HTTP's content codings (RFC 9110, section 8.4.1): gzip, deflate, br (RFC 7932) and zstd (RFC 8878).
// It decodes while the body arrives: what a peer has flushed can be read before anything that follows it.
//
// What it holds is bounded by the codings' windows, whatever a body claims: 32 KiB of gzip and deflate, 4 MiB of br, and of zstd the
// 8 MiB that RFC 9659 allows in HTTP. Its time is bounded by the size of what arrives: a body that decodes to more than 2,000 times its size is
// invalid, and so is one that decodes to nothing for long, such as a gigabyte of empty gzip members within br.
package contentcoding

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

var (
	// ErrUnsupported reports a coding that this package does not decode, or too many of them.
	ErrUnsupported = errors.New("unsupported content coding")
	// ErrInvalid reports a body that is not in the coding that its header names.
	ErrInvalid = errors.New("invalid content coding")
)

// maxCodings bounds the decoders of one body. Servers apply one; a proxy that does not look adds another.
const maxCodings = 3

// Limits of what a coding may make of its input, in bytes. No gzip makes more than 1,032 of one; a coding that adds more than a few bytes to each
// piece that a server flushes does not compress.
const (
	maxRatio     = 2000
	freeOutput   = 16 << 20 // before the ratio counts: JSON of little but spaces
	maxOverhead  = 32       // of input to output
	freeOverhead = 1 << 20
)

// maxWindow is the largest window of zstd, in bytes (RFC 9659).
const maxWindow = 8 << 20

// Of returns the codings that the values of a Content-Encoding header list, in the order in which they were applied, in lower case
// and without identity.
func Of(header []string) []string {
	var codings []string
	for _, value := range header {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.ToLower(strings.Trim(coding, " \t")); coding != "" && coding != "identity" {
				codings = append(codings, coding)
			}
		}
	}
	return codings
}

// NewReader returns a reader of the body without the codings, which were applied to it in their order. It reads nothing yet. Closing
// it closes the body. It fails with ErrUnsupported, and leaves the body as it is, if it cannot decode one of them.
//
// An empty body decodes to an empty one. Read returns the body's own errors as they are, io.ErrUnexpectedEOF where the body ends too
// early, and ErrInvalid where it is not in the coding, or has something behind its end.
func NewReader(body io.ReadCloser, codings []string) (io.ReadCloser, error) {
	if len(codings) > maxCodings {
		return nil, fmt.Errorf("%w: %d of them", ErrUnsupported, len(codings))
	}
	for _, coding := range codings {
		if opener(coding) == nil {
			return nil, ErrUnsupported
		}
	}
	for i := len(codings) - 1; i >= 0; i-- {
		s := &source{Reader: body, coding: codings[i]}
		body = &reader{coding: codings[i], body: body, source: s, src: bufio.NewReader(s)}
	}
	return body, nil
}

// opener returns what makes a coding's decoder; nil if there is none.
func opener(coding string) func(src *bufio.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return func(src *bufio.Reader) (io.Reader, error) { return gzip.NewReader(src) }
	case "deflate":
		return newDeflate
	case "br":
		return newBrotli
	case "zstd":
		return func(src *bufio.Reader) (io.Reader, error) {
			return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		}
	default:
		return nil
	}
}

// newBrotli returns a decoder of br, unless the stream wants a window of more than 4 MiB, which is what servers use at most, by default.
func newBrotli(src *bufio.Reader) (io.Reader, error) {
	const most = 22 // bits
	first, err := src.Peek(1)
	if err != nil {
		return nil, err
	}
	if bits := brotliWindow(first[0]); bits > most {
		return nil, fmt.Errorf("a window of %d bits", bits)
	}
	return brotli.NewReader(src), nil
}

// brotliWindow returns the size of a stream's window, in bits, by its first byte (RFC 7932, section 9.1).
func brotliWindow(first byte) int {
	switch {
	case first&1 == 0:
		return 16
	case first>>1&7 != 0:
		return 17 + int(first>>1&7)
	case first>>4&7 == 0:
		return 17
	case first>>4&7 == 1: // of a large window, which br has not
		return 30
	default:
		return 8 + int(first>>4&7)
	}
}

// newDeflate returns a decoder of deflate, which by RFC 9110 has zlib's header, and of many servers has none.
func newDeflate(src *bufio.Reader) (io.Reader, error) {
	const deflated, multiple = 8, 31 // RFC 1950, section 2.2
	head, err := src.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) == 2 && head[0]&0x0f == deflated && (int(head[0])<<8|int(head[1]))%multiple == 0 {
		return zlib.NewReader(src)
	}
	return flate.NewReader(src), nil
}

// A source is a decoder's input. It remembers its error, to tell it from the decoder's, and ends an input that decodes to nothing.
type source struct {
	io.Reader
	coding  string
	in, out int64 // bytes: of input, and of what it has decoded to
	err     error
}

func (s *source) Read(p []byte) (int, error) {
	if s.in > freeOverhead+maxOverhead*s.out {
		s.err = fmt.Errorf("%w: %s: it decodes to nothing", ErrInvalid, s.coding)
		return 0, s.err
	}
	n, err := s.Reader.Read(p)
	s.in += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// A reader takes one coding off a body.
type reader struct {
	coding  string
	body    io.Closer
	source  *source
	src     *bufio.Reader // of source
	decoder io.Reader     // nil before the first byte
	err     error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err == nil && r.decoder == nil {
		r.err = r.explain(r.open())
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.decoder.Read(p)
	r.source.out += int64(n)
	if r.source.out > max(freeOutput, maxRatio*r.source.in) {
		err = fmt.Errorf("%w: %s: it decodes to more than %d times its size", ErrInvalid, r.coding, maxRatio)
		r.err = err
		return n, r.err
	}
	r.err = r.explain(err)
	return n, r.err
}

// open makes the decoder, some of which read their header at once.
func (r *reader) open() error {
	if _, err := r.src.Peek(1); err != nil {
		return err
	}
	var err error
	r.decoder, err = opener(r.coding)(r.src)
	return err
}

// explain returns what an error of the decoder means.
func (r *reader) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case r.source.err != nil:
		return r.source.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: %w", r.coding, io.ErrUnexpectedEOF)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s: %w", ErrInvalid, r.coding, err)
	}
	if _, err := r.src.Peek(1); err == nil {
		return fmt.Errorf("%w: %s: something follows its end", ErrInvalid, r.coding)
	}
	if r.source.err != nil {
		return r.source.err
	}
	return io.EOF
}

// Close closes the body.
func (r *reader) Close() error {
	if d, ok := r.decoder.(*zstd.Decoder); ok {
		d.Close()
	}
	r.decoder, r.err = nil, errClosed
	return r.body.Close()
}

var errClosed = errors.New("contentcoding: read after close")
