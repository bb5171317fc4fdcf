package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// looks is how often the timer checks within its limit. A wait may exceed the limit by one interval.
const looks = 10

// An idleTimer calls onTimeout when a wait has lasted longer than the limit. A stream waits once per event; setting a timer, or reading the
// clock, for each would cost more than reading the event. So the timer checks now and then whether the current wait is still the one that it
// saw before.
type idleTimer struct {
	limit     time.Duration
	onTimeout func()

	waits atomic.Int64 // counts starts and ends: odd during a wait

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	seen    int64 // waits at the last check
	times   int   // checks of the same wait
}

// begin starts a wait.
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

// stop stops the timer.
func (s *idleTimer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
