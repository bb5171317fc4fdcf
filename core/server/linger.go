package server

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A client that is still sending does not listen, and a connection that is closed on it can lose it the answer. So what it still sends
// after its answer is read for a while and thrown away, as nginx does it with lingering_close.
const (
	lingerTime = 5 * time.Second
	lingerMost = 2 // times max_body_bytes
)

// smallBody is how much of a body that nobody has read net/http reads by itself before it answers, in bytes.
const smallBody = 256 << 10

// A watchedBody is a request's body of which it is known whether it was read to its end.
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

// watch watches the request's body, if it is one that net/http would close the connection on when it is not read. It lets the answer go
// out while the body comes in. (HTTP/2 can end a request without its connection.)
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

// linger reads on after an answer that ends its connection.
func linger(w http.ResponseWriter, r *http.Request, most int64) {
	connection := http.NewResponseController(w)
	if !unread(r) || w.Header().Get("Connection") != "close" || connection.Flush() != nil || connection.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, most) // the client has its answer, whatever comes of this
}
