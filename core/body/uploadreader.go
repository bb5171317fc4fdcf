package body

import (
	"errors"
	"io"
)

// errOver is what a sending is told that is not the upload's latest.
var errOver = errors.New("the upload goes elsewhere, or nowhere")

// A uploadReader is an upload on its way to one provider, which is to say the body of a request.
type uploadReader struct {
	u     *Upload
	kept  io.Reader
	waits func() func() // runs while the client is waited for
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

// mayRead tells, with nil, that it is this sending's turn to read what the client sends next.
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

// read looks at what was read. Nothing goes on that is wrong.
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

// Close implements io.Closer. What is kept may be sent once more, so nothing is let go.
func (s *uploadReader) Close() error { return nil }
