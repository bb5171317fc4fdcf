package relay

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
)

// sniffed is how much white space may precede a stream's first field, in bytes.
const sniffed = 4 << 10

// wantsStream reports whether the client asked for a stream.
func (t *attemptRun) wantsStream() bool { return t.x.Body.Stream || t.x.Body.Upload.Stream() }

// isStream reports whether the response is a stream: by its content type or, if that is missing or one that servers send by default, by its
// first bytes; then it corrects the content type. It reads only as many bytes as it needs.
func isStream(response *http.Response) bool {
	switch contentType(response.Header) {
	case "text/event-stream":
		return true
	case "", "text/plain", "application/json", "application/octet-stream":
	default:
		return false
	}
	body := bufio.NewReaderSize(response.Body, sniffed)
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, response.Body}
	if !beginsStream(body) {
		return false
	}
	response.Header["Content-Type"] = []string{"text/event-stream"}
	return true
}

// beginsStream reports whether r begins with a field or a comment of server-sent events, after a byte order mark and white space. It
// consumes nothing.
func beginsStream(r *bufio.Reader) bool {
	const mark = "\ufeff"
	for n := 1; n <= r.Size(); n = max(n+1, r.Buffered()) {
		b, err := r.Peek(n)
		b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte(mark)), " \t\r\n")
		may := len(b) == 0 || len(b) < len(mark) && mark[:len(b)] == string(b)
		for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
			if bytes.HasPrefix(b, []byte(field)) {
				return true
			}
			may = may || strings.HasPrefix(field, string(b))
		}
		if !may || err != nil {
			return false
		}
	}
	return false
}
