package body

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/contentcoding"
)

// uploadTime is the timeout of an upload.
const uploadTime = 10 * time.Minute

// A Source is a client's request whose body is to be read.
type Source struct {
	Request  *http.Request
	Writer   http.ResponseWriter
	Started  time.Time
	Max      int64         // bytes of the body
	MaxPause time.Duration // of the client, within its body
}

// A bodyReader reads a client's body of at most Max bytes. Its errors are io.EOF or *apierror.Error.
type bodyReader struct {
	Source
	body       io.Reader
	connection *http.ResponseController
}

// newBodyReader fails if the body is compressed, or too large by its Content-Length.
func newBodyReader(s Source) (bodyReader, error) {
	if len(contentcoding.Of(s.Request.Header["Content-Encoding"])) > 0 {
		return bodyReader{}, unsupportedCoding(s)
	}
	if s.Request.ContentLength > s.Max {
		return bodyReader{}, tooLarge(s)
	}
	body := http.MaxBytesReader(nil, s.Request.Body, s.Max) // nil, since it would write a header at the limit, perhaps while another goroutine does
	return bodyReader{s, body, http.NewResponseController(s.Writer)}, nil
}

func tooLarge(s Source) *apierror.Error {
	return apierror.Invalid(http.StatusRequestEntityTooLarge, apierror.CodeRequestTooLarge, "",
		"The request body is larger than this gateway's limit of %d bytes; send less.", s.Max)
}

// unsupportedCoding returns the error for a compressed body: only decoding would show what it contains, and its size.
func unsupportedCoding(s Source) *apierror.Error {
	s.Writer.Header().Set("Accept-Encoding", "identity") // as RFC 9110, section 15.5.16, recommends
	return apierror.Invalid(http.StatusUnsupportedMediaType, apierror.CodeUnsupportedMedia, "Content-Encoding",
		"The request body is compressed, which this gateway does not support; send it without a Content-Encoding.")
}

func (in *bodyReader) Read(p []byte) (int, error) {
	if err := in.extend(); err != nil {
		return 0, err
	}
	n, err := in.body.Read(p)
	return n, in.explain(err)
}

// extend moves the read deadline for the next piece.
func (in *bodyReader) extend() error {
	deadline := time.Now().Add(in.MaxPause)
	if last := in.Started.Add(uploadTime); deadline.After(last) {
		deadline = last
	}
	if err := in.connection.SetReadDeadline(deadline); err != nil {
		return apierror.Internal(fmt.Errorf("read request body: %w", err))
	}
	return nil
}

// explain returns the error for a failed read. Between reads there is no deadline: at the end of the body, net/http would take it for a
// disconnect; before, HTTP/2 ends the body when it passes.
func (in *bodyReader) explain(err error) error {
	request := in.Request.Context()
	var limit *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return cmp.Or(in.connection.SetReadDeadline(time.Time{}), err)
	case errors.As(err, &limit):
		return tooLarge(in.Source)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return apierror.Invalid(http.StatusRequestTimeout, apierror.CodeRequestTimeout, "", "The request body did not arrive in time; send it faster, and without a pause.")
	case errors.Is(err, io.ErrUnexpectedEOF) || request.Err() != nil:
		return apierror.Interrupted(fmt.Errorf("read request body: %w", cmp.Or(context.Cause(request), err)))
	default:
		return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidJSON, "", "The request body cannot be read; is its chunked encoding right?")
	}
}

// Discard reads and discards the body of a call that takes none: net/http does not detect the disconnect of a client whose body it has not
// read.
func Discard(s Source) error {
	if s.Request.ContentLength == 0 {
		return nil
	}
	in, err := newBodyReader(s)
	if err != nil {
		return err
	}
	const most = 64 << 10 // of a "{}" that some clients send
	switch _, err := io.CopyN(io.Discard, &in, most+1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return apierror.Invalid(http.StatusRequestEntityTooLarge, apierror.CodeRequestTooLarge, "", "This call takes no body; send none.")
	}
}

// grow returns b with about twice the capacity, but not more than a body of size bytes needs, if size is positive. It copies in pieces,
// since the garbage collector can stop the world only between copies.
func grow(b []byte, size int64) []byte {
	const piece = 256 << 10
	room := 2 * len(b)
	if size > int64(len(b)) {
		room = int(min(int64(room), size))
	}
	bigger := make([]byte, 0, room)
	for part := range slices.Chunk(b, piece) {
		bigger = append(bigger, part...)
	}
	return bigger
}

// Read reads the whole body.
func Read(s Source) ([]byte, error) {
	const firstBuffer = 1 << 20 // of the Content-Length, which may be wrong
	in, err := newBodyReader(s)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, min(max(s.Request.ContentLength+1, 512), firstBuffer))
	for {
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			b = grow(b, s.Request.ContentLength+1)
		}
	}
}
