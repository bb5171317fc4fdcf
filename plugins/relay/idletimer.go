package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// looks is how often a silence looks within its limit: so much later than the limit may it end a wait.
const looks = 10

// A idleTimer calls passed when a wait has lasted longer than the limit. Waits are many, one for each event of a stream, and to
// set a timer for each, or to read the clock, would cost more than to read the event. So it looks now and then whether the wait
// under way is the one that it has seen before.
type idleTimer struct {
	limit     time.Duration
	onTimeout func()

	waits atomic.Int64 // begun and ended: odd while one is under way

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	seen    int64 // waits, when it last looked
	times   int   // that it has looked at the same wait
}

// begin begins a wait.
func (s *idleTimer) begin() {
	if s.waits.Add(1) == 1 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = time.AfterFunc(s.limit/looks, s.look)
	}
}

// end ends the wait.
func (s *idleTimer) end() { s.waits.Add(1) }

func (s *idleTimer) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.waits.Load()
	if now != s.seen || now%2 == 0 {
		s.seen, s.times = now, 0
	}
	s.times++
	switch {
	case s.stopped:
	case s.times > looks && now%2 == 1:
		s.onTimeout()
	default:
		s.timer.Reset(s.limit / looks)
	}
}

// stop ends the watch.
func (s *idleTimer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
