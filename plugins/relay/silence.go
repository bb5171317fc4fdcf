package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// A silence calls passed when one wait has lasted longer than the limit. Waits are many, one for each event of a stream, and to
// set a timer for each would cost more than to read it. So there is one timer, which looks at the wait under way when it fires.
type silence struct {
	limit  time.Duration
	passed func()

	since atomic.Int64 // when the wait under way began, after began; 0 is no wait
	began time.Time    // the first wait

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// begin begins a wait.
func (s *silence) begin() {
	if s.began.IsZero() {
		s.start()
	}
	s.since.Store(int64(max(time.Since(s.began), 1)))
}

// end ends the wait.
func (s *silence) end() { s.since.Store(0) }

func (s *silence) start() {
	s.began = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.limit, s.look)
}

// look calls passed if the wait under way has lasted too long; else it looks again when it may have.
func (s *silence) look() {
	left := s.limit
	if since := s.since.Load(); since != 0 {
		left -= time.Since(s.began) - time.Duration(since)
	}
	if left <= 0 {
		s.passed()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.timer.Reset(left)
	}
}

// stop ends the watch.
func (s *silence) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
