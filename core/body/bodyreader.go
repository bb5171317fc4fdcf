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

// uploadTime is how long an upload may take; after that it is given up.
const uploadTime = 10 * time.Minute

// A Source is a client's request whose body is to be read.
type Source struct {
	Request  *http.Request
	Writer   http.ResponseWriter
	Started  time.Time
	Max      int64         // bytes of the body
	MaxPause time.Duration // of the client, within its body
}

// An bodyReader is a client's body on its way in, of at most Max bytes. Its errors are io.EOF or *Error.
type bodyReader struct {
	Source
	body       io.Reader
	connection *http.ResponseController
}

// newBodyReader fails if the body is known to be too large, or compressed.
func newBodyReader(s Source) (bodyReader, error) {
	if len(contentcoding.Of(s.Request.Header["Content-Encoding"])) > 0 {
		return bodyReader{}, unsupportedCoding(s)
	}
	if s.Request.ContentLength > s.Max {
		return bodyReader{}, tooLarge(s)
	}
	body := http.MaxBytesReader(nil, s.Request.Body, s.Max) // which would write a header when its limit is passed, be it while another goroutine answers
	return bodyReader{s, body, http.NewResponseController(s.Writer)}, nil
}

func tooLarge(s Source) *apierror.Error {
	return apierror.Invalid(http.StatusRequestEntityTooLarge, apierror.CodeRequestTooLarge, "",
		"The request body is larger than this gateway's limit of %d bytes; send less.", s.Max)
}

// unsupportedCoding returns the error of a body that is compressed: what it says, and how large it is, could be known only by
// decoding it.
func unsupportedCoding(s Source) *apierror.Error {
	s.Writer.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16, wants it
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

// extend gives the client time for the next piece.
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

// explain says what came of a read of the body. While nobody reads there is no deadline: at the body's end, net/http would take it
// for the client's leaving; before that, HTTP/2 ends the body when it passes.
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

// Discard reads the body of a call that takes none, and throws it away: net/http does not notice that a client has left whose body it still
// waits for.
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

// grow returns b with about twice the room, but not with more than a body of size bytes needs, if that is known. It copies piece by piece,
// since the runtime stops the world for a garbage collection only after a copy.
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

// Read reads the whole request body.
func Read(s Source) ([]byte, error) {
	const firstBuffer = 1 << 20 // a Content-Length is a claim: believe this much of it before the bytes are here
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
