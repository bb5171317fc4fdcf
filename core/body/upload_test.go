package body

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// receive runs serve with an upload of size bytes, over HTTP/2 or HTTP/1.
func receive(t *testing.T, http2 bool, size int, serve func(src Source, u *Upload)) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		src := Source{Request: r, Writer: w, Started: time.Now(), Max: 4 << 20, MaxPause: 50 * time.Millisecond}
		u, err := NewUpload(src, "text/plain", nil)
		if err != nil {
			t.Error(err)
			return
		}
		serve(src, u)
		if err := u.End(); err != nil {
			t.Error(err)
		}
	}))
	s.EnableHTTP2 = http2
	s.StartTLS()
	defer s.Close()
	response, err := s.Client().Post(s.URL, "text/plain", struct{ io.Reader }{bytes.NewReader(make([]byte, size))})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

func never() func() { return func() {} }

// Whoever sent before, and may still do so when its answer is here, takes nothing from who sends next.
func TestRecall(t *testing.T) {
	const size = 300_000
	receive(t, false, size, func(_ Source, u *Upload) {
		first, second := &http.Request{Header: http.Header{}}, &http.Request{Header: http.Header{}}
		if err := u.Send(first, "", never); err != nil {
			t.Error(err)
		}
		if !u.Detach() {
			t.Error("nothing was sent")
		}
		if n, err := first.Body.Read(make([]byte, 1000)); n > 0 || err == nil {
			t.Errorf("the first reads %d bytes more, %v", n, err)
		}
		if err := u.Send(second, "", never); err != nil {
			t.Error(err)
		}
		if n, err := io.Copy(io.Discard, second.Body); n != size || err != nil {
			t.Errorf("the second reads %d bytes, %v", n, err)
		}
		if u.Detach() {
			t.Error("all was sent")
		}
	})
}

// A provider may take its time to read. The client has no part in that.
func TestSlowReader(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		const size = 3 << 20 // more than HTTP/2 lets wait
		receive(t, http2, size, func(src Source, u *Upload) {
			r := &http.Request{Header: http.Header{}}
			if err := u.Send(r, "", never); err != nil {
				t.Error(err)
			}
			n, err := r.Body.Read(make([]byte, 1000))
			time.Sleep(4 * src.MaxPause)
			m, restErr := io.Copy(io.Discard, r.Body)
			if n+int(m) != size || err != nil || restErr != nil {
				t.Errorf("HTTP/2 %v: %d and %d bytes, %v, %v", http2, n, m, err, restErr)
			}
		})
	}
}

// Who sends may find that the upload is too large while the exchange's goroutine writes the answer's header.
func TestTooLargeWritesNoHeader(t *testing.T) {
	receive(t, false, 8<<20, func(src Source, u *Upload) {
		r := &http.Request{Header: http.Header{}}
		if err := u.Send(r, "", never); err != nil {
			t.Error(err)
		}
		clear(src.Writer.Header())
		if n, err := io.Copy(io.Discard, r.Body); n > src.Max || err == nil || len(src.Writer.Header()) > 0 {
			t.Errorf("%d bytes, %v, %v", n, err, src.Writer.Header())
		}
	})
}

// Over HTTP/2 an answer ends when its handler does, however much the client still sends.
func TestEndWaitsForNobody(t *testing.T) {
	receive(t, true, 3<<20, func(src Source, u *Upload) {
		if err := u.End(); err != nil {
			t.Error(err)
		}
		if n, err := io.ReadFull(src.Request.Body, make([]byte, 1000)); err != nil {
			t.Errorf("%d bytes are left, %v", n, err)
		}
	})
}
