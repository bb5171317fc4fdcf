package upstream

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Policy is when an upstream, an account or a host is taken out of rotation, and for how long.
type Policy struct {
	FailureThreshold int           // consecutive failures that start a cooldown; at least 1
	Cooldown         time.Duration // the first one; each further one in a row doubles it
	MaxCooldown      time.Duration // maximum of cooldowns, but for those that providers ask for
	MaxRetryAfter    time.Duration // maximum of a provider's Retry-After
	CheckFailures    int           // consecutive failures of the health check that take a provider down; at least 1
}

// A Status is an upstream's health.
type Status uint8

// The statuses of an upstream.
const (
	Healthy Status = iota // in rotation
	Cooling               // out of rotation until a time
	Probing               // after a cooldown: one attempt at a time until one succeeds
	Down                  // its provider failed the health checks
	Refused               // its provider refused the gateway's key; out of rotation until a time
)

// String returns the status in a word.
func (s Status) String() string {
	return [...]string{"healthy", "cooling", "probing", "down", "refused"}[s]
}

// severity orders the statuses of an upstream and its provider; the worst is the upstream's. A cooldown is worse than a failed health check,
// since a passed check does not end it.
func (s Status) severity() int { return [...]int{0, 3, 1, 2, 4}[s] }

// oneEvent is how far apart failures of concurrent attempts may end to count as one failure, as if they had the same cause. (RATIONALE.md,
// "Why do failures that come together count as one?")
const oneEvent = time.Second

// Health is the passive health of an upstream, an account or a host, as attempts have shown it: a circuit breaker. It has no clock; callers
// pass the time. It is not safe for concurrent use. The zero value is healthy.
type Health struct {
	began, until time.Time // of the latest cooldown; zero when healthy
	asked        bool      // the provider asked for the cooldown, so nothing ends it early
	failures     int       // consecutive
	counted      time.Time // the latest failure that counted
	cooldowns    int       // consecutive
	lastFailure  time.Time
	reason       string // of the latest cooldown
	probe        bool   // the probe slot is taken
}

// Status returns the status at now: Healthy, Cooling or Probing. checked is when the latest passed health check began: a check that began
// after the cooldown allows an early probe, unless the provider asked for the cooldown.
func (h *Health) Status(now, checked time.Time) Status {
	switch {
	case h.until.IsZero():
		return Healthy
	case now.Before(h.until) && (h.asked || !checked.After(h.began)):
		return Cooling
	default:
		return Probing
	}
}

// TryAcquireProbe reports whether an attempt may be made at now; checked is as in Status. If the status is Probing, it takes the probe slot.
func (h *Health) TryAcquireProbe(now, checked time.Time) (probe, ok bool) {
	switch h.Status(now, checked) {
	case Healthy:
		return false, true
	case Probing:
		if h.probe {
			return false, false
		}
		h.probe = true
		if now.Before(h.until) {
			h.until = now // an early probe ends the cooldown
		}
		return true, true
	default:
		return false, false
	}
}

// quiet reports whether there is no state that affects attempts.
func (h *Health) quiet() bool {
	return h.failures == 0 && h.cooldowns == 0 && h.until.IsZero() && !h.probe
}

// ReleaseProbe gives the probe slot back.
func (h *Health) ReleaseProbe() { h.probe = false }

// Succeed records the success of an attempt that began at began. It ignores an attempt that began before the end of a cooldown.
func (h *Health) Succeed(began time.Time) {
	if began.Before(h.until) {
		return
	}
	h.began, h.until, h.failures, h.cooldowns, h.reason = time.Time{}, time.Time{}, 0, 0, ""
}

// Answer records that the response of an attempt which began at began has begun. It ends a cooldown that is over; but failures are reset
// only by a complete response, or an upstream that breaks every stream would stay healthy.
func (h *Health) Answer(began time.Time) {
	if !began.Before(h.until) {
		h.until = time.Time{}
	}
}

// Fail records the failure of an attempt at now. Failures with one cause count once. Attempts that began before the current cooldown neither
// prolong nor double it, unless the provider asks for a longer one.
func (h *Health) Fail(now time.Time, r Report, p Policy) {
	if !r.Began.Before(h.counted) || now.Sub(h.counted) >= oneEvent {
		h.failures++
		h.counted = now
	}
	h.lastFailure = now
	late := r.Began.Before(h.until)
	switch {
	case r.Asked && (r.AtOnce || r.RetryAfter > 0):
		if d := min(r.RetryAfter, p.MaxRetryAfter); d > 0 {
			h.prolong(now, d, true, fmt.Sprintf("%s, Retry-After %s", r.why(), r.RetryAfter.Round(time.Millisecond)))
		}
	case r.AtOnce && r.Scope == ScopeModel: // a rate limit, whose cooldown does not double
		h.prolong(now, min(p.Cooldown, p.MaxCooldown), false, r.why())
	case late:
	case r.AtOnce:
		h.cool(now, p, r.why())
	case !h.until.IsZero() || h.failures >= p.FailureThreshold:
		h.cool(now, p, fmt.Sprintf("%d failures, last: %s", h.failures, r.why()))
	}
}

// cool starts a cooldown, longer than the previous one.
func (h *Health) cool(now time.Time, p Policy, reason string) {
	h.began, h.until, h.asked, h.reason = now, now.Add(doubled(p.Cooldown, h.cooldowns, p.MaxCooldown)), false, reason
	h.cooldowns++
}

// prolong starts a cooldown of d, unless the current one ends later.
func (h *Health) prolong(now time.Time, d time.Duration, asked bool, reason string) {
	if until := now.Add(d); until.After(h.until) {
		h.began, h.until, h.asked, h.reason = now, until, asked, reason
	}
}

// why returns the failure in a few words.
func (r *Report) why() string {
	if r.Result == abi.RateLimited {
		return "rate limited"
	}
	return cmp.Or(r.Reason, r.Result.String())
}

// explain returns the reason for the status at now, in an operator's words; "" if it is Healthy. until is the end of a cooldown, and reason
// that of the cooldown or of a failed check.
func explain(s Status, reason string, until, now time.Time) string {
	probe := fmt.Sprintf("; next probe in %.0f s", math.Ceil(until.Sub(now).Seconds()))
	switch s {
	case Cooling:
		return reason + probe
	case Probing:
		return reason + "; one attempt at a time until one succeeds"
	case Down:
		return "the health check failed: " + reason
	case Refused:
		return "the provider refuses the key" + probe
	default:
		return ""
	}
}

// doubled returns d·2ⁿ, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
