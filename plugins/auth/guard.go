package auth

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A guard gives each client address so many failures at once, and as many a minute from then on. Who has used them up is turned away, even with a good token: else
// guessing would go on until one is found. It is safe for concurrent use.
type guard struct {
	most     int
	failures *lru.Cache[netip.Prefix, *rate.Limiter] // a failure takes a token; who has none left waits for the next
}

// Failures are what stages of one gateway, one config after the other, know of guessers. They are safe for concurrent use; the zero
// value knows of none.
type Failures struct {
	mu    sync.Mutex
	now   *guard
	lines *guard // of the log, which guessers must not fill; nil before the first stage
}

// linesPerMinute is how many refusals of one address the log tells of in a minute.
const linesPerMinute = 30

// log returns the guard of the log.
func (f *Failures) log() (*guard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.lines == nil {
		f.lines, err = newGuard(linesPerMinute)
	}
	return f.lines, err
}

// guard returns the guard that allows each address most failures a minute: the one before if that allowed as many.
func (f *Failures) guard(most int) (*guard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil && f.now.most == most {
		return f.now, nil
	}
	g, err := newGuard(most)
	if err == nil {
		f.now = g
	}
	return g, err
}

// remembered is how many addresses a guard remembers, those that failed last: guessers must not fill the memory either.
const remembered = 1 << 16

// newGuard returns a guard that allows each address most failures a minute.
func newGuard(most int) (*guard, error) {
	failures, err := lru.New[netip.Prefix, *rate.Limiter](remembered)
	return &guard{most, failures}, err
}

// turnedAway returns how long the address is turned away at now; 0 if it is not.
func (g *guard) turnedAway(address netip.Addr, now time.Time) time.Duration {
	limiter, known := g.failures.Get(network(address))
	if !known {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
}

// failed counts a failure of the address at now, and tells whether it was the last one that it had.
func (g *guard) failed(address netip.Addr, now time.Time) bool {
	from := network(address)
	limiter, known := g.failures.Get(from)
	if !known {
		limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(g.most)), g.most)
		if earlier, there, _ := g.failures.PeekOrAdd(from, limiter); there {
			limiter = earlier
		}
	}
	limiter.AllowN(now, 1)
	return limiter.TokensAt(now) < 1
}

// network returns what counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is what one customer gets. What
// is no address is one client together.
func network(address netip.Addr) netip.Prefix {
	prefix, _ := address.Prefix(min(address.BitLen(), 64)) // fails for the zero address, to the zero prefix
	return prefix
}
