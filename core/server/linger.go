package server

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A client that is still sending does not read, and may lose the response when the connection closes. So the server reads and discards a
// part of the rest after the response, as nginx's lingering_close does.
const (
	lingerTime = 5 * time.Second
	lingerMost = 2 // times max_body_bytes
)

// smallBody is how much of an unread body net/http reads by itself before it responds, in bytes.
const smallBody = 256 << 10

// A watchedBody is a request's body that knows whether it was read to its end.
type watchedBody struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err
}

// watch watches the body of a request, if net/http would close the connection for leaving it unread. It lets the response be sent while the
// body arrives. (HTTP/2 can end a request without its connection.)
func watch(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength >= 0 && r.ContentLength <= smallBody || http.NewResponseController(w).EnableFullDuplex() != nil {
		return
	}
	r.Body = &watchedBody{ReadCloser: r.Body}
}

// unread reports whether a large body has not been read to its end.
func unread(r *http.Request) bool {
	b, ok := r.Body.(*watchedBody)
	return ok && !b.ended.Load()
}

// linger reads on after a response that ends its connection.
func linger(w http.ResponseWriter, r *http.Request, most int64) {
	connection := http.NewResponseController(w)
	if !unread(r) || w.Header().Get("Connection") != "close" || connection.Flush() != nil || connection.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, most) // the response was sent in any case
}
