package relay

import (
	"sync"
	"time"
)

// An attemptTimer limits the time until a backend responds; then it calls its function. It pauses while the gateway waits for the client's
// upload, and restarts in full afterwards. It is safe for concurrent use.
type attemptTimer struct {
	limit time.Duration

	mu     sync.Mutex
	timer  *time.Timer
	stands bool
	since  time.Time     // the timer is paused, or was last
	all    time.Duration // of all pauses
}

// start starts the timer.
func (p *attemptTimer) start(limit time.Duration, passed func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit, p.timer = limit, time.AfterFunc(limit, passed)
}

// Stop stops the timer. It returns false if the time is over.
func (p *attemptTimer) Stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	stood := p.stands
	p.stands = false
	return p.timer.Stop() || stood
}

// Reset restarts the timer with another limit.
func (p *attemptTimer) Reset(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Reset(limit)
}

// stand pauses the timer until the returned function is called. A timer whose time is over does not restart.
func (p *attemptTimer) stand() (over func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stands, p.since = p.timer.Stop(), time.Now()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all += time.Since(p.since)
		if p.stands {
			p.stands = false
			p.timer.Reset(p.limit)
		}
	}
}

// stood returns how long the timer was paused.
func (p *attemptTimer) stood() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}
