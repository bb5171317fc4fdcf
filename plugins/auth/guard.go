package auth

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A guard gives each client address so many failures a minute. Who has used them up is turned away, even with a good token: else
// guessing would go on until one is found. It is safe for concurrent use.
type guard struct {
	most     int
	failures *lru.Cache[netip.Prefix, *rate.Limiter] // a failure takes a token; who has none left waits for the next
}

// remembered is how many addresses a guard remembers, those that failed last: guessers must not fill the memory either.
const remembered = 1 << 16

// newGuard returns a guard that allows each address most failures a minute.
func newGuard(most int) (*guard, error) {
	failures, err := lru.New[netip.Prefix, *rate.Limiter](remembered)
	return &guard{most, failures}, err
}

// turnedAway returns how long the address is turned away at now; 0 if it is not.
func (g *guard) turnedAway(address string, now time.Time) time.Duration {
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
func (g *guard) failed(address string, now time.Time) bool {
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
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.WithZone("").Prefix(bits) // fails for more bits than there are only
	return prefix
}
