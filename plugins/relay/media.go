package relay

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/berrygate/berry/core"
)

var errPage = errors.New("the answer is a page of HTML")

// mediaPiece is how much of a response that is not JSON is read and buffered at once, in bytes.
const mediaPiece = 32 << 10

// media relays sound, an image, subtitles or a file. The first bytes commit the response, and each piece is sent as it arrives. If the
// response is truncated afterwards, the client's connection is closed.
func (t *attemptRun) media(response *http.Response) *core.Failure {
	kind := contentType(response.Header)
	if t.heartbeat != nil {
		return invalidResponse(errNoStream)
	}
	if isPage(kind) && t.x.Passthrough == nil { // from a proxy in between
		return invalidResponse(errPage)
	}
	piece := make([]byte, mediaPiece)
	src := &idleReader{attemptRun: t, src: response.Body}
	n, err := readSome(src, piece)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return t.truncated(err)
	case n == 0 && !strings.HasPrefix(kind, "text/") && t.x.Passthrough == nil: // a transcript may be empty, but speech is not
		return invalidResponse(errEmpty)
	case !t.limit.Stop() || !t.inTime():
		return t.truncated(errSilent)
	}
	t.answers()
	if kind == "" {
		response.Header.Set("Content-Type", "application/octet-stream")
	}
	t.commit(t.a, response.StatusCode, response.Header, response.ContentLength)
	for {
		if sendErr := t.to.Send(piece[:n]); sendErr != nil {
			return clientLeft(sendErr)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			t.x.Abort()
			return t.truncated(err)
		}
		n, err = readSome(src, piece)
	}
}

// readSome reads until there is data or an error.
func readSome(src io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = src.Read(p)
	}
	return n, err
}

// isJSON reports whether the content type is JSON.
func isJSON(h http.Header) bool {
	kind := contentType(h)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// isPage reports whether a response of the media type is a web page, or an image that contains scripts: a proxy's error, or an attack.
func isPage(kind string) bool {
	return kind == "text/html" || kind == "multipart/x-mixed-replace" || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml")
}

// isSafe reports whether a response of the media type runs no scripts, whatever browser opens it.
func isSafe(kind string) bool {
	family, name, _ := strings.Cut(kind, "/")
	switch family {
	case "audio", "video", "image":
		return !isPage(kind)
	case "text":
		return slices.Contains([]string{"plain", "event-stream", "csv", "vtt", "srt", "markdown"}, name)
	case "application":
		return strings.HasSuffix(name, "+json") || slices.Contains([]string{"json", "jsonl", "x-ndjson", "x-jsonlines", "octet-stream", "x-subrip", "zip", "gzip"}, name)
	}
	return false
}

// contentType returns the media type, in lower case and without parameters; "" if there is none.
func contentType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return kind
}
