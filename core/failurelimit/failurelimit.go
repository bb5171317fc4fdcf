// Package failurelimit counts what client addresses do too often, such as guessing tokens.
package failurelimit

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A Limiter gives each client address so many failures at once, and as many a minute from then on. Who has used them up is turned away, even
// with a good token: else guessing would go on until one is found. It remembers 65,536 addresses, those that failed last. It is safe for
// concurrent use.
type Limiter struct {
	PerMinute int                                     // failures of an address in a minute; at least 1
	failures  *lru.Cache[netip.Prefix, *rate.Limiter] // a failure takes a token; who has none left waits for the next
}

// remembered is how many addresses a guard remembers, those that failed last: guessers must not fill the memory either.
const remembered = 1 << 16

// New returns a guard that allows each address most failures a minute.
func New(most int) (*Limiter, error) {
	failures, err := lru.New[netip.Prefix, *rate.Limiter](remembered)
	return &Limiter{most, failures}, err
}

// BlockedFor returns how long the address is turned away at now; 0 if it is not.
func (g *Limiter) BlockedFor(address netip.Addr, now time.Time) time.Duration {
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

// Failed counts a failure of the address at now, and tells whether it was the last one that it had.
func (g *Limiter) Failed(address netip.Addr, now time.Time) bool {
	from := network(address)
	limiter, known := g.failures.Get(from)
	if !known {
		limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(g.PerMinute)), g.PerMinute)
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
