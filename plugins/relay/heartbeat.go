package relay

import (
	"net/http"
	"sync"
	"time"

	"github.com/berrygate/berry/core/sse"
)

// A heartbeat keeps the client of a stream that is held back from taking the silence for the end: it sends a comment now and then.
// With the first one it sends the head of a stream; until then an error can still be an answer of its own.
type heartbeat struct {
	w     http.ResponseWriter
	to    *client
	every time.Duration

	mu    sync.Mutex // of who writes to the client
	timer *time.Timer
	begun bool
	over  bool
}

// startHeartbeat begins a vigil. Until it ends, nobody else may write to the client.
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
	if v.to.Send(sse.Comment(nil, "still waiting for an answer")) == nil { // else the exchange's context tells that the client has left
		v.timer.Reset(v.every)
	}
}

// end ends the vigil and tells whether the client has got the head of a stream. Without a vigil it has not.
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

// describeStream adds what a stream's head says beside its type.
func describeStream(h http.Header) {
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"} // nginx in front would hold events back
}
