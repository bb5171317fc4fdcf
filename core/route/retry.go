package route

import (
	"slices"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// Rules are how often and when a failed attempt is retried.
type Rules struct {
	MaxRetries         int           // of an exchange
	SameBackendRetries int           // quick repeats of a 500, 502 or reset before moving on
	RetryAfterWait     time.Duration // a Retry-After of up to this is waited for at the same backend
	Budget             time.Duration // from the exchange's start; no wait ends later
}

// The delays before a repeat.
const (
	quickLeast   = 100 * time.Millisecond // before a quick repeat, with up to quickSpread more
	quickSpread  = 200 * time.Millisecond
	backoffFirst = 250 * time.Millisecond // doubled for each repeat of the exchange, with up to a half more
	backoffMost  = time.Minute            // no budget is that long, and doubling must end
)

// LongContext is the tag of backends with larger context windows than their model's others.
const LongContext = "long-context"

// A Step is the next step after a failed attempt: after Wait, an attempt at one of these backends.
type Step struct {
	Wait  time.Duration
	Among []*core.Backend
}

// After returns the step that follows the exchange's latest attempt, which has failed and ended. It returns false if there is none. random
// jitters the delays, so that clients which failed together do not retry together.
func (r Rules) After(x *core.Exchange, now time.Time, random uint64) (Step, bool) {
	last := x.Last()
	if last.Failure == nil || x.Committed || asked(x) > r.MaxRetries || late(x, now) {
		return Step{}, false
	}
	if last.Failure.ContextExceeded || last.Failure.Untranslatable {
		s := Step{Among: untried(x, now)}
		return s, len(s.Among) > 0
	}
	if !last.Failure.Retryable {
		return Step{}, false
	}
	here := []*core.Backend{last.Backend}
	if s := (Step{quickLeast + time.Duration(random%uint64(quickSpread)), here}); quick(last) && repeatable(last) && madeAt(x, last.Backend) <= r.SameBackendRetries && r.fits(x, s, now) {
		return s, true
	}
	if s := (Step{last.Failure.RetryAfter, here}); s.Wait > 0 && s.Wait <= r.RetryAfterWait && repeatable(last) && r.fits(x, s, now) {
		return s, true
	}
	if s := (Step{Among: untried(x, now)}); len(s.Among) > 0 {
		return s, true
	}
	repeats := len(x.Attempts) - distinct(x)
	if s := (Step{Among: here}); repeats == 0 && (last.Failure.Reset || last.Status == 500) && repeatable(last) && r.fits(x, s, now) {
		return s, true // often a single process's bad moment
	}
	s := again(x, now, repeats, random)
	return s, len(s.Among) > 0 && r.fits(x, s, now)
}

// again returns the step that repeats a failed backend: when the first of them may be tried again, after a delay that doubles with each
// repeat, or their Retry-After if that is longer.
func again(x *core.Exchange, now time.Time, repeats int, random uint64) Step {
	backoff := min(backoffFirst<<min(repeats, 16), backoffMost)
	backoff += time.Duration(random % uint64(backoff/2))
	var s Step
	for _, b := range x.Model.Backends {
		a := lastOf(x, b)
		if !repeatable(a) {
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

// fits reports whether the step's delay ends within the budget, and a backend is available then.
func (r Rules) fits(x *core.Exchange, s Step, now time.Time) bool {
	then := now.Add(s.Wait)
	if s.Wait > 0 && then.After(x.Started.Add(r.Budget)) || late(x, then) {
		return false
	}
	return slices.ContainsFunc(s.Among, func(b *core.Backend) bool { return Available(b, then) })
}

// late reports whether the exchange's deadline has passed at the time.
func late(x *core.Exchange, at time.Time) bool { return !x.Deadline.IsZero() && !at.Before(x.Deadline) }

// takesLonger reports whether b may accept a prompt that exceeded the context windows of the tried ones: its own is larger, or unknown.
// certainly reports whether b is known to be for long prompts.
func takesLonger(x *core.Exchange, b *core.Backend) (ok, certainly bool) {
	ok, certainly = true, b.Tagged(LongContext)
	for _, a := range x.Attempts {
		if a.Failure == nil || !a.Failure.ContextExceeded {
			continue
		}
		tried := a.Backend.ContextWindow
		switch known := tried > 0 && b.ContextWindow > 0; {
		case known && b.ContextWindow <= tried:
			return false, false
		case known:
			certainly = true
		}
	}
	return ok, certainly
}

// needsLong reports whether the prompt exceeded the context window of a tried backend.
func needsLong(x *core.Exchange) bool {
	return slices.ContainsFunc(x.Attempts, func(a *core.Attempt) bool { return a.Failure != nil && a.Failure.ContextExceeded })
}

// lastOf returns the exchange's latest attempt at b; nil if there is none.
func lastOf(x *core.Exchange, b *core.Backend) *core.Attempt {
	for _, a := range slices.Backward(x.Attempts) {
		if a.Backend == b {
			return a
		}
	}
	return nil
}

// asked returns the number of attempts that sent a request.
func asked(x *core.Exchange) int {
	n := 0
	for _, a := range x.Attempts {
		if a.Failure == nil || !a.Failure.Untranslatable {
			n++
		}
	}
	return n
}

// madeAt returns the number of attempts at b.
func madeAt(x *core.Exchange, b *core.Backend) int {
	n := 0
	for _, a := range x.Attempts {
		if a.Backend == b {
			n++
		}
	}
	return n
}

// distinct returns the number of backends that were tried.
func distinct(x *core.Exchange) int {
	n := 0
	for _, b := range x.Model.Backends {
		if lastOf(x, b) != nil {
			n++
		}
	}
	return n
}

// untried returns the backends that were not tried and are available at now; if there are none, those that only failed health checks. Once
// the prompt exceeded a context window, it returns those known to be larger or, if there are none, those that may be.
func untried(x *core.Exchange, now time.Time) []*core.Backend {
	long := needsLong(x)
	var certain, out, down []*core.Backend
	for _, b := range x.Model.Backends {
		v := b.Upstream.View(now)
		if lastOf(x, b) != nil || v.Probing && v.Probed || b.Full() || !b.Answers(x.Operation) {
			continue
		}
		available := v.Status == upstream.Healthy || v.Status == upstream.Probing
		if long {
			switch ok, certainly := takesLonger(x, b); {
			case !ok:
				continue
			case certainly && available:
				certain = append(certain, b)
			}
		}
		switch {
		case available:
			out = append(out, b)
		case v.Status == upstream.Down:
			down = append(down, b)
		}
	}
	for _, list := range [...][]*core.Backend{certain, out} {
		if len(list) > 0 {
			return list
		}
	}
	return down
}

// Available reports whether b may be tried at the time, perhaps as a probe, outside of panic mode.
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

// quick reports whether a quick repeat often helps against the failure.
func quick(a *core.Attempt) bool {
	return a.Failure.Reset || a.Status == 500 || a.Status == 502
}

// repeatable reports whether a's backend may be tried again within the exchange: not after a timeout, which would cost the client the whole
// timeout again, nor if it would fail in the same way.
func repeatable(a *core.Attempt) bool {
	return a != nil && a.Failure != nil && a.Failure.Retryable && !a.Failure.NoRepeat && a.Failure.Result != abi.TimedOut
}
