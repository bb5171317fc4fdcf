package server

import "net/http"

// asGet returns a HEAD request as the corresponding GET, and a writer that discards the body (RFC 9110, section 9.3.2).
func asGet(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	get := *r
	get.Method = http.MethodGet
	get.Header = r.Header.Clone()
	get.Header.Del("Upgrade") // HEAD opens no WebSocket
	return headWriter{w}, &get
}

type headWriter struct{ http.ResponseWriter }

// Write implements io.Writer. net/http would reject the bytes, which handlers take for a disconnect.
func (w headWriter) Write(p []byte) (int, error) { return len(p), nil }

// Unwrap returns the writer for http.ResponseController.
func (w headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which Echo needs.
func (w headWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
