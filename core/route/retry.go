package route

import (
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// Rules say how often and when a failed attempt is followed by another.
type Rules struct {
	MaxRetries         int           // of an exchange
	SameBackendRetries int           // quick repeats of a 500, 502 or reset before moving on
	RetryAfterWait     time.Duration // a Retry-After of up to this is waited for at the same backend
	Budget             time.Duration // from the exchange's start; no wait ends later
}

// The waits before a repeat.
const (
	quickLeast   = 100 * time.Millisecond // before a quick repeat, with up to quickSpread more
	quickSpread  = 200 * time.Millisecond
	backoffFirst = 250 * time.Millisecond // doubled for each repeat of the exchange, with up to a half more
	backoffMost  = time.Minute            // no budget is that long, and doubling must end
)

// A Step says what follows a failed attempt: after Wait, an attempt of Same or, if that is nil, of whom the strategy picks.
type Step struct {
	Wait time.Duration
	Same *core.Backend
}

// After says at now what follows the exchange's latest attempt, which failed and has ended. It returns false if nothing
// does. random jitters the waits, so that clients who failed together do not return together.
func (r Rules) After(x *core.Exchange, now time.Time, random uint64) (Step, bool) {
	last := x.Last()
	if last.Failure == nil || !last.Failure.Retryable || x.Committed || len(x.Attempts) > r.MaxRetries {
		return Step{}, false
	}
	same := Step{Wait: quickLeast + time.Duration(random%uint64(quickSpread)), Same: last.Backend}
	if quick(last) && r.madeAt(x, last.Backend) <= r.SameBackendRetries && r.possible(x, same, now) {
		return same, true
	}
	same.Wait = last.Failure.RetryAfter
	if same.Wait > 0 && same.Wait <= r.RetryAfterWait && repeatable(last) && r.possible(x, same, now) {
		return same, true
	}
	if untried(x, now) {
		return Step{}, true
	}
	again := Step{Wait: r.backoff(x, last, random)}
	return again, r.possible(x, again, now)
}

// backoff returns how long to wait before backends that have failed are tried again: not at all before an exchange's first
// repeat if that follows a 500 or a reset, for these are often a single process's bad moment.
func (r Rules) backoff(x *core.Exchange, last *core.Attempt, random uint64) time.Duration {
	repeats := len(x.Attempts) - distinct(x)
	if repeats == 0 && (last.Failure.Reset || last.Status == 500) {
		return 0
	}
	wait := min(backoffFirst<<min(repeats, 16), backoffMost)
	wait += time.Duration(random % uint64(wait/2))
	return max(wait, last.Failure.RetryAfter)
}

// possible tells whether the step's wait fits the budget and somebody may be tried after it.
func (r Rules) possible(x *core.Exchange, s Step, now time.Time) bool {
	then := now.Add(s.Wait)
	if s.Wait > 0 && then.After(x.Started.Add(r.Budget)) {
		return false
	}
	if s.Same != nil {
		return Available(s.Same, then)
	}
	for _, b := range x.Model.Backends {
		if a := lastOf(x, b); (a == nil || repeatable(a)) && Available(b, then) {
			return true
		}
	}
	return false
}

// madeAt returns how many attempts the exchange has made at b.
func (r Rules) madeAt(x *core.Exchange, b *core.Backend) int {
	n := 0
	for _, a := range x.Attempts {
		if a.Backend == b {
			n++
		}
	}
	return n
}

// distinct returns how many backends the exchange has tried.
func distinct(x *core.Exchange) int {
	n := 0
	for _, b := range x.Model.Backends {
		if lastOf(x, b) != nil {
			n++
		}
	}
	return n
}

// untried tells whether a backend that the exchange has not tried is available at now.
func untried(x *core.Exchange, now time.Time) bool {
	for _, b := range x.Model.Backends {
		if lastOf(x, b) == nil && Available(b, now) {
			return true
		}
	}
	return false
}

// Available tells whether b may be tried at the time, be it as a probe.
func Available(b *core.Backend, at time.Time) bool {
	switch b.Upstream.View(at).Status {
	case upstream.Healthy, upstream.Probing:
		return true
	default:
		return false
	}
}

// quick tells whether the failure is of the kind that a repeat at once often mends.
func quick(a *core.Attempt) bool {
	return a.Failure.Reset || a.Status == 500 || a.Status == 502
}

// repeatable tells whether a's backend may be tried again within the exchange: not after silence, which costs the client
// the whole timeout once more, a refused key or a model that is not there.
func repeatable(a *core.Attempt) bool {
	if a == nil || a.Failure == nil || !a.Failure.Retryable {
		return false
	}
	switch a.Failure.Result {
	case abi.TimedOut, abi.AuthRefused:
		return false
	default:
		return a.Status != 404
	}
}
