package relay

import (
	"net/http"
	"sync"
	"time"

	"github.com/berrygate/berry/core/sse"
)

// A heartbeat sends comments to the client of a buffered stream, so that no proxy or client takes the silence for a dead connection. The
// first one commits the response's status and headers; before it, an error can still have its own status.
type heartbeat struct {
	w     http.ResponseWriter
	to    *client
	every time.Duration

	mu    sync.Mutex // held while writing to the client
	timer *time.Timer
	begun bool
	over  bool
}

// startHeartbeat starts a heartbeat. Until it ends, nothing else may write to the client.
func startHeartbeat(w http.ResponseWriter, to *client, every time.Duration) *heartbeat {
	v := &heartbeat{w: w, to: to, every: every}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timer = time.AfterFunc(every, v.comment)
	return v
}

func (v *heartbeat) comment() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	if !v.begun {
		v.begun = true
		v.w.Header()["Content-Type"] = []string{"text/event-stream"}
		describeStream(v.w.Header())
		v.w.WriteHeader(http.StatusOK)
	}
	if v.to.Send(sse.Comment(nil, "still waiting for an answer")) == nil { // else the exchange's context is done, too
		v.timer.Reset(v.every)
	}
}

// end stops the heartbeat and reports whether the client has received the response's headers. It may be called on nil.
func (v *heartbeat) end() bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	v.timer.Stop()
	return v.begun
}

// describeStream adds a stream's headers, beside its content type.
func describeStream(h http.Header) {
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"} // else nginx buffers events
}
