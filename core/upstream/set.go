package upstream

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Set is the live state of all providers and upstreams that leases refer to, and each model's sequence numbers and counters. A new
// snapshot takes its lease before the old one's ends, and so finds the old one's state. It is safe for concurrent use.
type Set struct {
	changed func(Change)

	mu        sync.Mutex
	providers table[providerKey, *Provider]
	upstreams table[upstreamKey, *Upstream]
	sequences table[string, *atomic.Uint64]
	counters  table[counterKey, *Counter]
}

type counterKey struct {
	model    string // the client-facing name
	upstream *Upstream
}

type providerKey struct {
	id      string
	account [sha256.Size]byte
}

type upstreamKey struct {
	provider *Provider
	model    string
}

// NewSet returns an empty set. It calls changed, which must not block, on each change of a provider's or an upstream's state.
func NewSet(changed func(Change)) *Set {
	return &Set{
		changed:   changed,
		providers: table[providerKey, *Provider]{},
		upstreams: table[upstreamKey, *Upstream]{},
		sequences: table[string, *atomic.Uint64]{},
		counters:  table[counterKey, *Counter]{},
	}
}

// Lease returns an empty lease.
func (s *Set) Lease() *Lease { return &Lease{set: s} }

// A Lease is one snapshot's references to a Set. It is not safe for concurrent use.
type Lease struct {
	set  *Set
	give []func()
}

// An Identity is what a provider's connections and credentials depend on. A provider with another identity is another provider.
type Identity struct {
	Identity [sha256.Size]byte // of everything that a request to it is made with; another one is another provider
	CA       []byte            // certificates in PEM that are trusted beside the system's
	Idle     time.Duration     // how long an unused connection is kept; 0 is without end
	Socket   string            // a Unix socket behind which it answers, whatever its URL says; "" is none
}

// Provider returns the live provider with the id and the identity. It fails if the system's certificates cannot be read.
func (l *Lease) Provider(id string, a Identity) (*Provider, error) {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	key := providerKey{id, a.Identity}
	var err error
	p := s.providers.take(key, func() *Provider {
		p := &Provider{ID: id, changed: s.changed}
		p.connections, err = newConnections(a)
		p.Transport = p.connections
		return p
	})
	if err != nil {
		s.providers.give(key)
		return nil, fmt.Errorf("upstream: %s: %w", id, err)
	}
	l.give = append(l.give, func() {
		if s.providers.give(key) {
			p.connections.CloseIdleConnections() // and what is under way closes when it ends
		}
	})
	return p, nil
}

// Upstream returns the live upstream of the provider's model.
func (l *Lease) Upstream(p *Provider, model string) *Upstream {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	key := upstreamKey{p, model}
	l.give = append(l.give, func() { s.upstreams.give(key) })
	return s.upstreams.take(key, func() *Upstream {
		return &Upstream{Provider: p, Model: model, ID: abi.CandidateID(p.ID, model)}
	})
}

// Sequence returns the sequence numbers of the model with the client-facing name.
func (l *Lease) Sequence(model string) *atomic.Uint64 {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	l.give = append(l.give, func() { s.sequences.give(model) })
	return s.sequences.take(model, func() *atomic.Uint64 { return new(atomic.Uint64) })
}

// Counter returns the counter of attempts at the upstream for the model with the client-facing name.
func (l *Lease) Counter(model string, u *Upstream) *Counter {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	key := counterKey{model, u}
	l.give = append(l.give, func() { s.counters.give(key) })
	return s.counters.take(key, func() *Counter { return &Counter{} })
}

// End ends the lease. State that no other lease refers to is dropped, and its connections are closed.
func (l *Lease) End() {
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	for _, give := range l.give {
		give()
	}
	l.give = nil
}
