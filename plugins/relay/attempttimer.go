package relay

import (
	"sync"
	"time"
)

// A attemptTimer is how long an attempt may take until its backend answers; when that is over, passed runs. While the client is waited
// for, it stands still, and begins anew after that.
type attemptTimer struct {
	limit time.Duration

	mu     sync.Mutex
	timer  *time.Timer
	stands bool
	since  time.Time     // it stands, or stood last
	all    time.Duration // that it stood
}

// start begins it.
func (p *attemptTimer) start(limit time.Duration, passed func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit, p.timer = limit, time.AfterFunc(limit, passed)
}

// Stop ends it. It returns false if it is over.
func (p *attemptTimer) Stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	stood := p.stands
	p.stands = false
	return p.timer.Stop() || stood
}

// Reset begins it anew, for another time.
func (p *attemptTimer) Reset(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Reset(limit)
}

// stand makes it stand still until the function that is returned is called. If it is over, it is not begun anew.
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

// stood returns how long it stood still.
func (p *attemptTimer) stood() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}
