package route

import (
	"slices"
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

// LongContext is the tag of backends that take longer prompts than their model's others.
const LongContext = "long-context"

// A Step says what follows a failed attempt: after Wait, an attempt of one among these backends.
type Step struct {
	Wait  time.Duration
	Among []*core.Backend
}

// After says at now what follows the exchange's latest attempt, which failed and has ended. It returns false if nothing
// does. random jitters the waits, so that clients who failed together do not return together.
func (r Rules) After(x *core.Exchange, now time.Time, random uint64) (Step, bool) {
	last := x.Last()
	if last.Failure == nil || x.Committed || asked(x) > r.MaxRetries || late(x, now) {
		return Step{}, false
	}
	if last.Failure.TooLong || last.Failure.Unfit {
		s := Step{Among: untried(x, now)}
		return s, len(s.Among) > 0
	}
	if !last.Failure.Retryable {
		return Step{}, false
	}
	here := []*core.Backend{last.Backend}
	if s := (Step{quickLeast + time.Duration(random%uint64(quickSpread)), here}); quick(last) && madeAt(x, last.Backend) <= r.SameBackendRetries && r.fits(x, s, now) {
		return s, true
	}
	if s := (Step{last.Failure.RetryAfter, here}); s.Wait > 0 && s.Wait <= r.RetryAfterWait && repeatable(last) && r.fits(x, s, now) {
		return s, true
	}
	if s := (Step{Among: untried(x, now)}); len(s.Among) > 0 {
		return s, true
	}
	repeats := len(x.Attempts) - distinct(x)
	if s := (Step{Among: here}); repeats == 0 && !last.Failure.NoRepeat && (last.Failure.Reset || last.Status == 500) && r.fits(x, s, now) {
		return s, true // often a single process's bad moment
	}
	s := again(x, now, repeats, random)
	return s, len(s.Among) > 0 && r.fits(x, s, now)
}

// again returns the step back to backends that have failed: when the first of them may be tried once more, after a wait
// that doubles with each repeat and that each one's Retry-After prolongs.
func again(x *core.Exchange, now time.Time, repeats int, random uint64) Step {
	backoff := min(backoffFirst<<min(repeats, 16), backoffMost)
	backoff += time.Duration(random % uint64(backoff/2))
	long := needsLong(x)
	var s Step
	for _, b := range x.Model.Backends {
		a := lastOf(x, b)
		if !repeatable(a) || long && !b.Tagged(LongContext) {
			continue
		}
		wait := max(backoff, a.Ended.Add(a.Failure.RetryAfter).Sub(now))
		switch {
		case !Available(b, now.Add(wait)):
		case len(s.Among) == 0 || wait < s.Wait:
			s = Step{wait, []*core.Backend{b}}
		case wait == s.Wait:
			s.Among = append(s.Among, b)
		}
	}
	return s
}

// fits tells whether the step's wait ends within the budget and somebody is available after it.
func (r Rules) fits(x *core.Exchange, s Step, now time.Time) bool {
	then := now.Add(s.Wait)
	if s.Wait > 0 && then.After(x.Started.Add(r.Budget)) || late(x, then) {
		return false
	}
	return slices.ContainsFunc(s.Among, func(b *core.Backend) bool { return Available(b, then) })
}

// late tells whether the exchange's deadline has passed at the time.
func late(x *core.Exchange, at time.Time) bool { return !x.Deadline.IsZero() && !at.Before(x.Deadline) }

// needsLong tells whether the exchange's prompt was too long for a backend that was tried.
func needsLong(x *core.Exchange) bool {
	return slices.ContainsFunc(x.Attempts, func(a *core.Attempt) bool { return a.Failure != nil && a.Failure.TooLong })
}

// lastOf returns the exchange's latest attempt of b; nil if there was none.
func lastOf(x *core.Exchange, b *core.Backend) *core.Attempt {
	for _, a := range slices.Backward(x.Attempts) {
		if a.Backend == b {
			return a
		}
	}
	return nil
}

// asked returns how many attempts the exchange has made, without those whose backend was not asked.
func asked(x *core.Exchange) int {
	n := 0
	for _, a := range x.Attempts {
		if a.Failure == nil || !a.Failure.Unfit {
			n++
		}
	}
	return n
}

// madeAt returns how many attempts the exchange has made at b.
func madeAt(x *core.Exchange, b *core.Backend) int {
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

// untried returns the backends that the exchange has not tried and that are available at now; if there are none, those that
// only a failed active check holds down. Once its prompt was too long for one, only those for long ones are left.
func untried(x *core.Exchange, now time.Time) []*core.Backend {
	long := needsLong(x)
	var out, down []*core.Backend
	for _, b := range x.Model.Backends {
		switch v := b.Upstream.View(now); {
		case lastOf(x, b) != nil || v.Probing && v.Probed || b.Full() || long && !b.Tagged(LongContext) || !b.Answers(x.Operation):
		case v.Status == upstream.Healthy || v.Status == upstream.Probing:
			out = append(out, b)
		case v.Status == upstream.Down:
			down = append(down, b)
		}
	}
	if len(out) == 0 {
		return down
	}
	return out
}

// Available tells whether b may be tried at the time, be it as a probe, without a panic.
func Available(b *core.Backend, at time.Time) bool {
	switch v := b.Upstream.View(at); v.Status {
	case upstream.Healthy:
		return true
	case upstream.Probing:
		return !v.Probed
	default:
		return false
	}
}

// quick tells whether the failure is of the kind that a repeat at once often mends.
func quick(a *core.Attempt) bool {
	return !a.Failure.NoRepeat && (a.Failure.Reset || a.Status == 500 || a.Status == 502)
}

// repeatable tells whether a's backend may be tried again within the exchange: not after silence, which costs the client
// the whole timeout once more, a refused key, a model that is not there, or what it would do again.
func repeatable(a *core.Attempt) bool {
	if a == nil || a.Failure == nil || !a.Failure.Retryable || a.Failure.NoRepeat {
		return false
	}
	switch a.Failure.Result {
	case abi.TimedOut, abi.AuthRefused:
		return false
	default:
		return a.Status != 404
	}
}
