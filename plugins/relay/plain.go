package relay

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/jsonx"
)

var (
	errNoJSON   = errors.New("the answer is not JSON")
	errNoStream = errors.New("the answer is no stream, which was asked for")
	errCut      = errors.New("the answer was cut off")
)

// plain relays a response that is not a stream. A response of up to holdLimit bytes is buffered and validated before the client receives any
// of it.
func (t *attemptRun) plain(response *http.Response) *core.Failure {
	held, err := hold(response)
	switch {
	case err != nil:
		return t.truncated(err)
	case len(held) > holdLimit && t.heartbeat == nil && t.translator == nil:
		return t.large(response, held)
	}
	if held, err = t.whole(response, held); err != nil && t.ctx.Err() != nil {
		return t.broken(err)
	}
	if err != nil {
		return invalidResponse(err)
	}
	if !jsonx.Valid(held) {
		return notJSON(response, held)
	}
	if t.x.Operation.Protocol.IsError(held, t.x.Passthrough != nil) {
		return t.classifyError(held, response.Header)
	}
	if t.heartbeat != nil || t.translator != nil && t.x.Body.Stream {
		return invalidResponse(errNoStream) // the client may have received a stream's headers
	}
	t.notes.describe(held)
	if t.x.Passthrough == nil { // stored responses and batches report their usage each time
		t.a.Usage = t.x.Operation.Protocol.Usage(jsonx.View(held))
	}
	t.limit.Stop() // even if the time is over: the response is here
	t.inTime()
	t.answers()
	held = t.rename(held)
	t.begin(response, int64(len(held)))
	if _, err := t.to.Write(held); err != nil {
		return clientLeft(err)
	}
	return nil
}

// begin commits the attempt with a response that is JSON.
func (t *attemptRun) begin(response *http.Response, length int64) {
	if !isJSON(response.Header) {
		response.Header.Set("Content-Type", "application/json") // which it is
	}
	t.commit(t.a, response.StatusCode, response.Header, length)
}

// hold reads the body to its end, or up to a little more than holdLimit bytes.
func hold(response *http.Response) ([]byte, error) {
	const believed = 1 << 20 // of the Content-Length, which may be wrong
	var b bytes.Buffer
	b.Grow(int(min(max(response.ContentLength+bytes.MinRead, bytes.MinRead), believed)))
	_, err := b.ReadFrom(io.LimitReader(response.Body, holdLimit+1))
	return b.Bytes(), err
}
