package wasm

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Five faults within a minute put a strategy into quarantine: its fallback picks. After a while, one request tries it again. The time
// doubles with each quarantine, unless the strategy has worked for as long as its maximum.
const (
	faultLimit   = 5
	faultWindow  = time.Minute
	firstBackoff = 10 * time.Second
	maxBackoff   = 10 * time.Minute
)

// A quarantine tracks a strategy's faults. The zero value has none. It is safe for concurrent use.
type quarantine struct {
	closed atomic.Bool // only a trial may call the guest; the only cost of healthy strategies

	mu      sync.Mutex
	recent  [faultLimit]time.Time // a ring buffer
	faults  uint64
	last    time.Time // the latest one
	latest  *FaultError
	backoff time.Duration
	until   time.Time
	trying  bool
	ended   time.Time // end of the latest quarantine
}

// enter reports whether the guest may be called at now, and whether that is the trial; then leave or fault must be called.
func (q *quarantine) enter(now func() time.Time) (allowed, trial bool) {
	if !q.closed.Load() {
		return true, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.closed.Load():
		return true, false
	case q.trying || now().Before(q.until):
		return false, false
	}
	q.trying = true
	return true, true
}

// leave ends a trial and, if it succeeded, the quarantine.
func (q *quarantine) leave(now time.Time, well bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trying = false
	if well {
		q.ended, q.recent = now, [faultLimit]time.Time{}
		q.closed.Store(false)
	}
}

// fault counts a fault, and reports whether a quarantine begins with it, and until when.
func (q *quarantine) fault(now time.Time, f *FaultError, trial bool) (begins bool, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recent[q.faults%faultLimit] = now
	q.faults, q.last, q.latest = q.faults+1, now, f
	first := q.recent[q.faults%faultLimit] // of the last five
	switch {
	case trial:
		q.trying, q.backoff = false, min(2*q.backoff, maxBackoff)
	case q.closed.Load() || first.IsZero() || now.Sub(first) > faultWindow:
		return false, time.Time{}
	case !q.ended.IsZero() && now.Sub(q.ended) < maxBackoff:
		q.backoff = min(2*q.backoff, maxBackoff)
	default:
		q.backoff = firstBackoff
	}
	q.until = now.Add(q.backoff)
	q.closed.Store(true)
	return true, q.until
}

// A Standing is a strategy's faults, for operators.
type Standing struct {
	State   string    // healthy or quarantined
	Why     string    // reason and end of the quarantine; "" if there is none
	Faults  uint64    // since it was loaded
	Last    time.Time // zero if there was none
	Reason  Reason    // of the latest one
	Error   string    // of the latest one
	Serving bool      // it is not in quarantine
}

func (q *quarantine) standing(now time.Time) Standing {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Standing{State: "healthy", Faults: q.faults, Last: q.last, Serving: !q.closed.Load()}
	if q.latest != nil {
		s.Reason, s.Error = q.latest.reason, q.latest.Error()
	}
	if s.Serving {
		return s
	}
	trial := "the next request tries it"
	if left := q.until.Sub(now); left > 0 {
		trial = fmt.Sprintf("next trial in %.0f s", math.Ceil(left.Seconds()))
	}
	s.State, s.Why = "quarantined", fmt.Sprintf("%d faults, last: %s; %s", q.faults, s.Error, trial)
	return s
}
