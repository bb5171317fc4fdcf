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

// heldComments bounds what is kept of the comments before a stream's first event, in bytes.
const heldComments = 64 << 10

var (
	errEmpty    = errors.New("the answer is empty")
	errEnded    = errors.New("the stream ended before its terminal")
	errReported = errors.New("the provider reported an error within the stream")
)

// stream relays events as they arrive, or holds them back until they are whole. It is committed at the first one that is no
// error, or at the last; until then a failure leaves the client untouched.
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
		if !events.Buffered() { // what is here is passed on before anything is waited for
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
				return t.truncated(errSilent) // it has passed while the event was on its way
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

// reader returns a reader of src's events, to be put back into readers when nothing holds an event of it any more.
func (p *Plugin) reader(src io.Reader) *sse.Reader {
	if r, ok := p.readers.Get().(*sse.Reader); ok {
		r.Reset(src)
		return r
	}
	return sse.NewReader(src, p.options.MaxEvent)
}

// reported says what an error object among the events means. Before the commit it is the attempt's failure like any other;
// after it the client is told too: in the provider's words, unless they are about the gateway's key.
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

// ended says what the end of the stream's source means, or its silence after its terminal: a whole answer if the provider had
// finished, whose missing terminal is supplied; else a failure, which the client is told of if it has seen the beginning.
func (t *attemptRun) ended(out *streamWriter, err error) *core.Failure {
	silent := t.seen.TerminalEvent() == nil && errors.Is(context.Cause(t.ctx), errSilent) // some stay connected when they have said all
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

// finish ends a stream whose terminal has come. It reads the little that may follow, so that the connection can be used
// again. If nothing does, the last events leave together with the end of the answer, which the server writes next.
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
	_, _ = io.CopyN(io.Discard, body, most) // whatever it is, the answer is whole
	return nil
}

// A streamWriter writes events to the client. Those that have arrived together, one behind the other in the reader's buffer,
// are written together.
type streamWriter struct {
	*attemptRun
	response *http.Response
	held     *bytes.Buffer // all events of a stream that is held back; nil of any other
	comments []byte        // and heads that came before the first event
	pending  []byte        // events to be written, in the reader's buffer
}

// write passes an event on, at the latest with the next flush; until then its bytes must not change. An event commits; a
// comment, or a head, before the commit waits for it.
func (w *streamWriter) write(event []byte, k api.EventKind) error {
	if w.held != nil {
		if k == api.Comment {
			return nil // meanwhile the vigil comments
		}
		if w.held.Len()+len(event) <= holdLimit {
			w.held.Write(event)
			return nil
		}
		if err := w.release(); err != nil { // from now on this stream is like any other
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

// last passes the stream's last event on.
func (w *streamWriter) last(event []byte) error {
	if err := w.write(event, api.Done); err != nil {
		return err
	}
	if err := w.release(); err != nil {
		return err
	}
	return w.flush()
}

// end ends a stream that is whole, with the last event that it lacks, if it does.
func (w *streamWriter) end(closing []byte) error {
	if closing != nil {
		return w.last(closing)
	}
	if err := w.release(); err != nil {
		return err
	}
	return w.flush()
}

// release passes on what was held back, if anything was. What comes after it is not.
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

// start commits the attempt and writes the stream's first bytes.
func (w *streamWriter) start(first []byte) error {
	if !w.inTime() {
		return errLate
	}
	w.heartbeat.end() // the header is nobody else's from now on
	describeStream(w.x.Writer.Header())
	w.commit(w.a, w.response.StatusCode, w.response.Header, -1)
	_, err := w.to.Write(first)
	return err
}
