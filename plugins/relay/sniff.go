package relay

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
)

// sniffed is how much white space may stand before a stream's first field, in bytes.
const sniffed = 4 << 10

// wantsStream tells whether the client has asked for a stream.
func (t *attemptRun) wantsStream() bool { return t.x.Body.Stream || t.x.Body.Upload.Stream() }

// isStream tells whether the answer to a request for a stream is one: it says so, or its type is none, or one that servers send
// without a thought, and it begins as a stream does. Then its header is made to say so. No more is waited for than tells the two apart.
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

// beginsStream tells whether what follows are server-sent events: a field, or a comment, after a byte order mark and white space. It
// takes nothing out of the reader.
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
