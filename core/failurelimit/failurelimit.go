// Package failurelimit limits the rate of failures, such as failed authentications, per client address.
package failurelimit

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A Limiter allows each client address a burst of failures and as many per minute afterwards. It blocks an address that exceeds the limit even
// if the client then sends a valid token; otherwise guessing could continue until it succeeds. It tracks the 65,536 addresses that failed last.
// It is safe for concurrent use.
type Limiter struct {
	PerMinute int                                     // failures per address and minute, and the burst; at least 1
	failures  *lru.Cache[netip.Prefix, *rate.Limiter] // a failure takes a token; an address without one is blocked
}

// remembered is the number of tracked addresses. It bounds the memory that an attacker can fill.
const remembered = 1 << 16

// New returns a Limiter that allows each address most failures per minute, at least 1.
func New(most int) (*Limiter, error) {
	failures, err := lru.New[netip.Prefix, *rate.Limiter](remembered)
	return &Limiter{most, failures}, err
}

// BlockedFor returns how much longer the address is blocked at now; 0 if it is not.
func (l *Limiter) BlockedFor(address netip.Addr, now time.Time) time.Duration {
	limiter, known := l.failures.Get(network(address))
	if !known {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
}

// Failed counts a failure of the address at now. It reports whether the address is now blocked.
func (l *Limiter) Failed(address netip.Addr, now time.Time) bool {
	from := network(address)
	limiter, known := l.failures.Get(from)
	if !known {
		limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.PerMinute)), l.PerMinute)
		if earlier, there, _ := l.failures.PeekOrAdd(from, limiter); there {
			limiter = earlier
		}
	}
	limiter.AllowN(now, 1)
	return limiter.TokensAt(now) < 1
}

// network returns the prefix that identifies a client: an IPv4 address, or the /64 of an IPv6 address, which providers assign to one customer.
// All invalid addresses count as one client.
func network(address netip.Addr) netip.Prefix {
	prefix, _ := address.Prefix(min(address.BitLen(), 64)) // fails for the zero address, to the zero prefix
	return prefix
}
