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

// plain relays an answer that is not a stream. One of up to holdLimit bytes is held whole and checked before the client
// sees any of it.
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
		return invalidResponse(errNoStream) // the client may have got the head of one
	}
	t.notes.describe(held)
	if t.x.Passthrough == nil { // batches and stored responses tell their usage each time that they are asked for
		t.a.Usage = t.x.Operation.Protocol.Usage(jsonx.View(held))
	}
	t.limit.Stop() // whether or not a limit has passed by now: the answer is here
	t.inTime()
	t.answers()
	held = t.rename(held)
	t.begin(response, int64(len(held)))
	if _, err := t.to.Write(held); err != nil {
		return clientLeft(err)
	}
	return nil
}

// begin commits the attempt: its answer, which is JSON, is the client's.
func (t *attemptRun) begin(response *http.Response, length int64) {
	if !isJSON(response.Header) {
		response.Header.Set("Content-Type", "application/json") // which it was found to be
	}
	t.commit(t.a, response.StatusCode, response.Header, length)
}

// hold reads the body to its end, or a little more than holdLimit bytes of it.
func hold(response *http.Response) ([]byte, error) {
	const believed = 1 << 20 // of a Content-Length, before the bytes are here
	var b bytes.Buffer
	b.Grow(int(min(max(response.ContentLength+bytes.MinRead, bytes.MinRead), believed)))
	_, err := b.ReadFrom(io.LimitReader(response.Body, holdLimit+1))
	return b.Bytes(), err
}
