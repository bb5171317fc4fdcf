package upstream

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Set is every provider and upstream that this process knows, and each model's sequence numbers. A new snapshot asks
// it for what it names and so finds the state that the last one left. It is safe for concurrent use.
type Set struct {
	mu        sync.Mutex
	providers map[string]*Provider
	upstreams map[upstreamKey]*Upstream
	sequences map[string]*atomic.Uint64
}

type upstreamKey struct{ provider, model string }

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{
		providers: map[string]*Provider{},
		upstreams: map[upstreamKey]*Upstream{},
		sequences: map[string]*atomic.Uint64{},
	}
}

// Provider returns the live provider with the id; there is one.
func (s *Set) Provider(id string) *Provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.providers[id]
	if p == nil {
		p = &Provider{ID: id, Transport: newTransport()}
		s.providers[id] = p
	}
	return p
}

// Upstream returns the live upstream of the provider's model; there is one.
func (s *Set) Upstream(p *Provider, model string) *Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := upstreamKey{p.ID, model}
	u := s.upstreams[key]
	if u == nil {
		u = &Upstream{Provider: p, Model: model, ID: abi.CandidateID(p.ID, model)}
		s.upstreams[key] = u
	}
	return u
}

// Sequence returns the sequence numbers of the model with the client-facing name.
func (s *Set) Sequence(model string) *atomic.Uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sequences[model]
	if n == nil {
		n = new(atomic.Uint64)
		s.sequences[model] = n
	}
	return n
}

// Close closes the idle connections of every provider. Those of attempts under way close when they end.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.providers {
		if t, ok := p.Transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// newTransport returns a provider's connection pool. It asks for no compression, since what need not change passes
// untouched, and the relay's own timeouts bound an answer.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // or a dead connection is kept
		MaxResponseHeaderBytes: 256 << 10,
	}
}
