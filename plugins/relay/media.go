package relay

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/berrygate/berry/core"
)

var errPage = errors.New("the answer is a page of HTML")

// mediaPiece is how much of an answer that is no JSON is read at once, in bytes; no more of it is held.
const mediaPiece = 32 << 10

// media relays an answer that is sound, an image, subtitles or a file: its first bytes commit it, and each piece is sent when it
// comes. If it is cut after that, so is the client's connection.
func (t *attemptRun) media(response *http.Response) *core.Failure {
	kind := contentType(response.Header)
	if t.heartbeat != nil {
		return invalidResponse(errNoStream)
	}
	switch {
	case !isPage(kind):
	case t.x.Passthrough == nil: // of a proxy that is in the way
		return invalidResponse(errPage)
	default: // somebody's file, which no browser is to take for a page of the gateway's
		response.Header.Set("Content-Type", "application/octet-stream")
	}
	piece := make([]byte, mediaPiece)
	src := &pausing{attemptRun: t, src: response.Body}
	n, err := readSome(src, piece)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return t.truncated(err)
	case n == 0 && !strings.HasPrefix(kind, "text/") && t.x.Passthrough == nil: // of silence there is no transcript, but there is no speech without sound
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
			t.x.Aborted = true
			return t.truncated(err)
		}
		n, err = readSome(src, piece)
	}
}

// readSome reads until something has come or nothing will.
func readSome(src io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = src.Read(p)
	}
	return n, err
}

// isJSON tells whether the answer says that it is JSON.
func isJSON(h http.Header) bool {
	kind := contentType(h)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// isPage tells whether browsers run what scripts an answer of the media type has.
func isPage(kind string) bool {
	return kind == "text/html" || kind == "multipart/x-mixed-replace" || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml")
}

// contentType returns the answer's media type, in lower case and without parameters; "" if it has none.
func contentType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return kind
}
