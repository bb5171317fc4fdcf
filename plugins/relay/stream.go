package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/sse"
	"github.com/berrygate/berry/sdk/abi"
)

// heldComments limits the buffered comments before a stream's first event, in bytes.
const heldComments = 64 << 10

var (
	errEmpty    = errors.New("the answer is empty")
	errEnded    = errors.New("the stream ended before its terminal")
	errReported = errors.New("the provider reported an error within the stream")
)

// stream relays events as they arrive, or buffers them until the stream is complete. The first event that is not an error commits the
// response, or the last; until then a failure leaves the client untouched.
func (t *attemptRun) stream(response *http.Response) *core.Failure {
	t.a.Stream = true
	t.buffers.budget = t.options.Budget
	events := t.reader(t.events(&idleReader{attemptRun: t, src: response.Body}))
	events.Resize = t.buffers.resize
	defer func() {
		events.Reset(nil)
		t.readers.Put(events)
		t.buffers.release()
	}()
	out := &streamWriter{attemptRun: t, response: response}
	if t.heartbeat != nil {
		out.held = new(bytes.Buffer)
	}
	t.seen = t.x.Operation.Protocol.NewStream(api.StreamOptions{
		Terminal: t.x.Operation.Terminal, Translated: t.translator != nil, Stored: t.x.Passthrough != nil,
	})
	defer func() { t.a.Usage = t.used(t.seen.Usage()) }()
	for {
		if !events.Buffered() { // write what has arrived before waiting for more
			if err := out.flush(); err != nil {
				return t.clientWriteFailed(err)
			}
		}
		event, err := events.Next()
		if err != nil {
			return t.ended(out, err)
		}
		data := sse.Data(event)
		kind := t.seen.Parse(data)
		switch kind {
		case api.Malformed:
			t.a.Dropped++
			continue
		case api.Failure:
			return t.reported(out, event, t.classifyError(bytes.Clone(data), response.Header))
		}
		if !t.answered && kind == api.Done {
			return invalidResponse(errEmpty)
		}
		if !t.answered && (kind == api.Chunk || kind == api.Final) {
			if !t.limit.Stop() {
				return t.truncated(errSilent) // the time was over before the event was read
			}
			t.answers()
			t.a.FirstToken = t.a.Committed
		}
		if kind == api.Chunk || kind == api.Head || kind == api.Final {
			t.notes.describe(data)
		}
		if err := out.write(t.renameEvent(kind, event, data), kind); err != nil {
			return t.clientWriteFailed(err)
		}
		if kind == api.Done || kind == api.Final {
			return t.finish(out, events, response.Body)
		}
	}
}

// reader returns a reader of src's events. The caller puts it back into readers when no event of it is in use.
func (p *Plugin) reader(src io.Reader) *sse.Reader {
	if r, ok := p.readers.Get().(*sse.Reader); ok {
		r.Reset(src)
		return r
	}
	return sse.NewReader(src, p.options.MaxEvent)
}

// reported returns the failure that an error event means. After the commit, the client receives the event, too: the provider's own, unless
// it is about the gateway's key.
func (t *attemptRun) reported(out *streamWriter, event []byte, f *core.Failure) *core.Failure {
	if !t.x.Committed {
		return f
	}
	f.Answer, f.Err = nil, errReported
	if f.Result == abi.AuthRefused || t.a.Backend.ContainsSecret(event) {
		event = t.truncatedEvent(f)
	} else {
		event = t.renameEvent(api.Failure, event, sse.Data(event))
	}
	if f.Result != abi.AuthRefused {
		f.Result = abi.StreamBroken
	}
	if err := out.last(event); err != nil {
		return t.clientWriteFailed(err)
	}
	return f
}

// ended returns the failure that the end of the stream means, or an idle timeout after its end. If the provider had finished, the response
// is complete and the missing terminal event is supplied; else the client receives an error event if the response was committed.
func (t *attemptRun) ended(out *streamWriter, err error) *core.Failure {
	silent := t.seen.TerminalEvent() == nil && errors.Is(context.Cause(t.ctx), errSilent) // some providers do not close a finished stream
	if (errors.Is(err, io.EOF) || silent) && t.seen.Finished() && t.answered {
		if err := out.end(t.seen.TerminalEvent()); err != nil {
			return t.clientWriteFailed(err)
		}
		return nil
	}
	f := t.truncated(err)
	switch {
	case errors.Is(err, errNoMemory):
		f = noMemory()
	case errors.Is(err, io.EOF):
		f.Err = errEnded
	case errors.Is(err, sse.ErrTooLarge), errors.Is(err, adapter.ErrTooWide):
		f.Reset, f.NoRepeat, f.Err = false, true, err
	}
	if t.answered && f.Result == abi.ServerError {
		f.Result = abi.StreamBroken
	}
	if !t.x.Committed || f.Result == abi.ClientCancelled && !errors.Is(f.Err, apierror.ErrShutdown) {
		return f
	}
	if err := out.last(t.truncatedEvent(f)); err != nil {
		return t.clientWriteFailed(err)
	}
	return f
}

// finish ends a stream after its terminal event. It reads the little that may follow, so that the connection can be reused. If nothing
// follows, the last events are sent together with the end of the response.
func (t *attemptRun) finish(out *streamWriter, events *sse.Reader, body io.Reader) *core.Failure {
	const patience, most = 20 * time.Millisecond, 4 << 10
	if err := out.release(); err != nil {
		return t.clientWriteFailed(err)
	}
	if events.Ended() {
		if _, err := t.to.Write(out.pending); err != nil {
			return t.clientWriteFailed(err)
		}
		return nil
	}
	if err := out.flush(); err != nil {
		return t.clientWriteFailed(err)
	}
	t.limit.Reset(patience)
	_, _ = io.CopyN(io.Discard, body, most) // the response is complete in any case
	return nil
}

// A streamWriter writes events to the client. Events that arrived together, one after the other in the reader's buffer, are written
// together.
type streamWriter struct {
	*attemptRun
	response *http.Response
	held     *bytes.Buffer // a buffered stream; nil of any other
	comments []byte        // and events without content, before the first with content
	pending  []byte        // events to be written, in the reader's buffer
}

// write writes an event, at the latest with the next flush; until then its bytes must not change. An event commits the response; a comment,
// or an event without content, waits for one that does.
func (w *streamWriter) write(event []byte, k api.EventKind) error {
	if w.held != nil {
		if k == api.Comment {
			return nil // the heartbeat comments meanwhile
		}
		if w.held.Len()+len(event) <= holdLimit {
			w.held.Write(event)
			return nil
		}
		if err := w.release(); err != nil { // too large to buffer: from now on, events pass as they arrive
			return err
		}
	}
	if !w.x.Committed {
		if k == api.Comment || k == api.Head {
			if k == api.Head || len(w.comments)+len(event) <= heldComments {
				w.comments = append(w.comments, event...)
			}
			return nil
		}
		if err := w.start(w.comments); err != nil {
			return err
		}
	}
	if n := len(w.pending); n > 0 && n < cap(w.pending) && &w.pending[:n+1][n] == &event[0] {
		w.pending = w.pending[:n+len(event)]
		return nil
	}
	_, err := w.to.Write(w.pending)
	w.pending = event
	return err
}

// last writes the stream's last event.
func (w *streamWriter) last(event []byte) error {
	if err := w.write(event, api.Done); err != nil {
		return err
	}
	if err := w.release(); err != nil {
		return err
	}
	return w.flush()
}

// end ends a complete stream, with the terminal event that it lacks; nil: none.
func (w *streamWriter) end(closing []byte) error {
	if closing != nil {
		return w.last(closing)
	}
	if err := w.release(); err != nil {
		return err
	}
	return w.flush()
}

// release writes the buffered stream, if there is one. Later events are not buffered.
func (w *streamWriter) release() error {
	if w.held == nil {
		return nil
	}
	held := w.held.Bytes()
	w.held = nil
	return w.start(held)
}

// flush sends what was written.
func (w *streamWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	events := w.pending
	w.pending = nil
	return w.to.Send(events)
}

// start commits the response and writes the stream's first bytes.
func (w *streamWriter) start(first []byte) error {
	if !w.inTime() {
		return errLate
	}
	w.heartbeat.end() // which may write the headers, too
	describeStream(w.x.Writer.Header())
	w.commit(w.a, w.response.StatusCode, w.response.Header, -1)
	_, err := w.to.Write(first)
	return err
}
