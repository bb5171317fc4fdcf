package body

import (
	"errors"
	"io"
)

// errOver is the error of an uploadReader that is not the latest.
var errOver = errors.New("the upload goes elsewhere, or nowhere")

// An uploadReader is the body of one request with an upload.
type uploadReader struct {
	u     *Upload
	kept  io.Reader
	waits func() func() // called around waits for the client
}

func (s *uploadReader) Read(p []byte) (int, error) {
	if n, err := s.kept.Read(p); n > 0 || err == nil || !errors.Is(err, io.EOF) {
		return n, err
	}
	if err := s.mayRead(); err != nil {
		return 0, err
	}
	over := s.waits()
	n, err := s.u.in.body.Read(p)
	over()
	return s.read(p[:n], err)
}

// mayRead returns nil if the reader may read what the client sends next.
func (s *uploadReader) mayRead() error {
	u := s.u
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.ended && u.err == nil:
		return io.EOF
	case u.turn != s:
		return errOver
	case u.err != nil:
		return u.err
	}
	u.sent = true
	u.err = u.in.extend()
	return u.err
}

// read parses what was read, and returns it only if it is valid.
func (s *uploadReader) read(piece []byte, err error) (int, error) {
	u := s.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.turn != s {
		return 0, errOver
	}
	if u.err = u.scan(piece); u.err != nil {
		return 0, u.err
	}
	if err = u.in.explain(err); err == nil {
		return len(piece), nil
	}
	if errors.Is(err, io.EOF) {
		u.ended = true
		if u.err = u.whole(); u.err == nil {
			return len(piece), io.EOF
		}
		return 0, u.err
	}
	u.err = err
	return 0, u.err
}

// Close implements io.Closer. It removes nothing: the upload may be sent again.
func (s *uploadReader) Close() error { return nil }
