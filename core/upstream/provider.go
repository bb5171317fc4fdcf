package upstream

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// A Provider is the live side of one provider's account: its connections, and what is known of it as a whole. It is safe for
// concurrent use.
type Provider struct {
	ID        string
	Transport http.RoundTripper

	inFlight  atomic.Int32 // attempts
	transport *http.Transport
	changed   func(Change)
	mu        sync.Mutex // of writers
	standing  atomic.Pointer[standing]
}

// A standing is what holds a provider down. It is not changed; the zero value is nothing.
type standing struct {
	refused bool   // the gateway's key
	failed  string // why the last active check did; "" if it did not
}

func (s *standing) status() Status {
	switch {
	case s.refused:
		return Refused
	case s.failed != "":
		return Down
	default:
		return Healthy
	}
}

func (s *standing) words() string {
	switch s.status() {
	case Refused:
		return "down: the provider refuses the key"
	case Down:
		return "down: the health check failed: " + s.failed
	default:
		return "healthy"
	}
}

// InFlight returns how many attempts are under way, of all the provider's models.
func (p *Provider) InFlight() int { return int(p.inFlight.Load()) }

// enter counts one attempt more unless that would be more than limit; 0 is no limit.
func (p *Provider) enter(limit int) bool {
	for {
		n := p.inFlight.Load()
		if limit > 0 && int(n) >= limit {
			return false
		}
		if p.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Passed records that an active check has passed. It ends what an active check or a refused key began.
func (p *Provider) Passed() { p.become(func(s *standing) { *s = standing{} }) }

// Failed records that an active check has failed, and why. A refused key stays refused: only with the right key can it be
// seen that it is taken.
func (p *Provider) Failed(why string) { p.become(func(s *standing) { s.failed = why }) }

// Refuse records that the provider does not take the gateway's key.
func (p *Provider) Refuse() { p.become(func(s *standing) { s.refused = true }) }

// Forgive ends what a refused key began: whoever reloads the config may have mended it at the provider's.
func (p *Provider) Forgive() { p.become(func(s *standing) { s.refused = false }) }

func (p *Provider) become(f func(*standing)) {
	p.mu.Lock()
	before := p.standing.Load()
	after := *before
	f(&after)
	p.standing.Store(&after)
	p.mu.Unlock()
	if before.status() != after.status() {
		p.changed(Change{Provider: p.ID, Status: after.status(), Words: after.words()})
	}
}

// Words tells the provider's own standing as an operator would say it.
func (p *Provider) Words() string { return p.standing.Load().words() }
