package upstream

import (
	"cmp"
	"fmt"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Policy says when an upstream is left alone and for how long.
type Policy struct {
	FailureThreshold int           // consecutive failures that start a cooldown; at least 1
	Cooldown         time.Duration // the first one; each further one in a row doubles it
	MaxCooldown      time.Duration // bounds every cooldown, a provider's Retry-After included
}

// A Status is what an upstream's health comes to at a moment.
type Status uint8

// The statuses of an upstream.
const (
	Healthy Status = iota // takes attempts
	Cooling               // left alone until a time
	Probing               // back from a cooldown: one attempt at a time until one succeeds
	Down                  // its provider failed the last active check
	Refused               // its provider refused the gateway's key
)

// String returns the status in a word.
func (s Status) String() string {
	return [...]string{"healthy", "cooling", "probing", "down", "refused"}[s]
}

// Health is one upstream's passive health: what its attempts have shown. It is plain state, which knows the time only
// from its callers; it is not safe for concurrent use. The zero value is healthy.
type Health struct {
	until       time.Time // end of the last cooldown; zero when healthy
	failures    int       // consecutive
	cooldowns   int       // consecutive
	lastFailure time.Time
	reason      string // of the last cooldown
	probe       bool   // the probe slot is taken
}

// Status returns the status at now: Healthy, Cooling or Probing.
func (h *Health) Status(now time.Time) Status {
	switch {
	case h.until.IsZero():
		return Healthy
	case now.Before(h.until):
		return Cooling
	default:
		return Probing
	}
}

// Offer tells whether the upstream may be a candidate at now. If its status is Probing, that takes the probe slot.
func (h *Health) Offer(now time.Time) bool {
	switch h.Status(now) {
	case Healthy:
		return true
	case Probing:
		free := !h.probe
		h.probe = true
		return free
	default:
		return false
	}
}

// Withdraw gives the probe slot back.
func (h *Health) Withdraw() { h.probe = false }

// Succeed records that an attempt which began at began was answered. One that began before a cooldown ended says nothing
// about the time after it.
func (h *Health) Succeed(began time.Time) {
	if began.Before(h.until) {
		return
	}
	h.until, h.failures, h.cooldowns, h.reason = time.Time{}, 0, 0, ""
}

// Answer records that an attempt which began at began is being answered. It ends a cooldown that is over; but what had
// failed is forgotten only when an answer has come to its end, or an upstream that breaks every stream would stay healthy.
func (h *Health) Answer(began time.Time) {
	if !began.Before(h.until) {
		h.until = time.Time{}
	}
}

// Fail records at now the failure of an attempt. A cooldown is neither prolonged nor doubled by attempts that were already
// under way when it began, but for a provider that asks for a longer one.
func (h *Health) Fail(now time.Time, r Report, p Policy) {
	h.failures++
	h.lastFailure = now
	late := r.Began.Before(h.until)
	switch {
	case r.Result == abi.RateLimited:
		d := min(r.RetryAfter, p.MaxCooldown)
		if r.RetryAfter <= 0 {
			d = min(p.Cooldown, p.MaxCooldown)
		}
		if until := now.Add(d); until.After(h.until) {
			h.until = until
			h.reason = "rate limited"
			if r.RetryAfter > 0 {
				h.reason = fmt.Sprintf("rate limited, Retry-After %s", r.RetryAfter.Round(time.Millisecond))
			}
		}
	case late:
	case !h.until.IsZero() || h.failures >= p.FailureThreshold:
		h.until = now.Add(doubled(p.Cooldown, h.cooldowns, p.MaxCooldown))
		h.cooldowns++
		h.reason = fmt.Sprintf("%d failures, last: %s", h.failures, cmp.Or(r.Reason, r.Result.String()))
	}
}

func (h *Health) words(now time.Time) string {
	switch h.Status(now) {
	case Cooling:
		return fmt.Sprintf("cooling until %s: %s", h.until.Format(time.TimeOnly), h.reason)
	case Probing:
		return "probing after a cooldown: " + h.reason
	default:
		return "healthy"
	}
}

// doubled returns d·2ⁿ, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
