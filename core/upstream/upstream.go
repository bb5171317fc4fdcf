// Package upstream holds the live state of upstreams, a provider's models: attempts in flight, averages, health; and one
// connection pool per provider. It outlives the snapshots of the config that name it.
//
// Time comes from the callers, so that a simulator runs the same code on a clock of its own.
package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// An Upstream is one model at one provider. It is safe for concurrent use.
type Upstream struct {
	Provider *Provider
	Model    string // the provider's name for it
	ID       uint64 // abi.CandidateID of both

	inFlight atomic.Int32
	doubted  atomic.Bool // there are suspects; else Avoids needs no lock
	mu       sync.Mutex
	health   Health
	suspects suspects
	averages Averages
	counts   Counts // of all attempts
	told     Status // health's, in the latest Change
}

// A View is an upstream's state at one time: the worst of its own, its account's and its host's.
type View struct {
	Status      Status
	Probing     bool      // one attempt at a time
	Probed      bool      // the probe slot is taken
	Probe       Probe     // the probe slots that TryAcquire took
	Until       time.Time // end of the cooldown; zero when healthy
	Reason      string    // of the cooldown
	InFlight    int
	Failures    int       // consecutive
	LastFailure time.Time // zero: none
	Averages    Averages
	Counts      Counts
}

// Explain returns the reason for the status, in an operator's words, such as "5 failures, last: connection refused; next probe in 9 s"; ""
// if it is Healthy. now is when the view was taken.
func (v *View) Explain(now time.Time) string { return explain(v.Status, v.Reason, v.Until, now) }

// View returns the state at now.
func (u *Upstream) View(now time.Time) View {
	provider := u.Provider.view(now)
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.view(provider, now)
}

// TryAcquire returns the state at now, and whether the upstream may be a candidate. If it is probing, TryAcquire has taken the probe slot:
// Begin an attempt, or Release it.
func (u *Upstream) TryAcquire(now time.Time) (View, bool) { return u.offer(now, false) }

// OfferDown is Offer for an upstream that only failed active checks hold down.
func (u *Upstream) OfferDown(now time.Time) (View, bool) { return u.offer(now, true) }

func (u *Upstream) offer(now time.Time, panicking bool) (View, bool) {
	provider := u.Provider.view(now)
	slots, ok := u.Provider.offer(now, panicking)
	u.mu.Lock()
	v := u.view(provider, now)
	if ok {
		var probe bool
		if probe, ok = u.health.TryAcquireProbe(now, u.Provider.checkedAt()); probe {
			slots |= probesModel
		}
	}
	u.tell(now)
	if !ok {
		u.Provider.withdraw(slots)
		return v, false
	}
	v.Probe = slots
	return v, true
}

// Release gives back the probe slots that Offer took.
func (u *Upstream) Release(slots Probe) {
	u.Provider.withdraw(slots)
	if slots&probesModel != 0 {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.health.ReleaseProbe()
	}
}

// Avoids reports whether the upstream is out of rotation at now for the source alone, whose own requests may be what fails there.
func (u *Upstream) Avoids(source Source, now time.Time) bool {
	if !u.doubted.Load() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.suspects.avoids(source, now)
}

// Begin counts an attempt as in flight until End. It returns false, and counts nothing, if the provider has limit attempts in
// flight already; 0 is no limit.
func (u *Upstream) Begin(limit int) bool {
	if !u.Provider.enter(limit) {
		return false
	}
	u.inFlight.Add(1)
	return true
}

// Commit records at now that an attempt which began at began is being answered: a stream may last, and what waits for a
// probe's success must not wait for its end. The attempt's probe slots are given back.
func (u *Upstream) Commit(began, now time.Time, slots Probe) {
	u.Provider.withdraw(slots)
	u.Provider.answered(began, now)
	u.mu.Lock()
	defer u.tell(now)
	if slots&probesModel != 0 {
		u.health.ReleaseProbe()
	}
	u.health.Answer(began)
}

// A Change is a state that has become another one.
type Change struct {
	Provider string
	Model    string // of the provider; "" if the change is the whole provider's
	Status   Status // from now on
	Reason   string // for it, as an operator would say it; "" if it is Healthy
	Source   Source // whom it concerns, if not everybody
}

// tell reports a change of health, if there was one, and unlocks u.
func (u *Upstream) tell(now time.Time) {
	before := u.told
	u.told = u.health.Status(now, u.Provider.checkedAt())
	c := Change{Provider: u.Provider.ID, Model: u.Model, Status: u.told}
	if before != u.told {
		c.Reason = explain(u.told, u.health.reason, u.health.until, now)
	}
	u.mu.Unlock()
	if before != c.Status {
		u.Provider.changed(c)
	}
}

// End records how an attempt, which Begin began, ended at now.
func (u *Upstream) End(now time.Time, r Report, p Policy) {
	u.inFlight.Add(-1)
	u.Provider.inFlight.Add(-1)
	u.Provider.withdraw(r.Probe)
	failed := !r.Answered && r.Result != abi.ClientCancelled
	switch {
	case r.Answered:
		u.Provider.answered(r.Began, now)
	case failed && (r.Scope == ScopeAccount || r.Scope == ScopeHost):
		u.Provider.fail(now, r, p)
	case failed && r.Result != abi.TimedOut:
		u.Provider.connected(r.Began, now)
	}
	u.mu.Lock()
	if r.Probe&probesModel != 0 {
		u.health.ReleaseProbe()
	}
	u.counts.add(r)
	avoided := u.suspects.avoids(r.Source, now)
	switch {
	case r.Answered:
		u.health.Succeed(r.Began)
		u.suspects.succeed(r.Source, now)
		u.averages.add(r, now)
	case !failed, r.Scope == ScopeNobody: // does not affect the upstream's health
		r.Answered = true
		u.averages.add(r, now)
	case u.doubtful(now, r) && !u.suspects.fail(now, r, p): // counted before
	default:
		u.averages.add(r, now)
		u.health.lastFailure = now
		if r.Scope != ScopeAccount {
			u.health.Fail(now, r, p)
		}
	}
	u.doubted.Store(len(u.suspects.of) > 0)
	suspected := !avoided && u.suspects.avoids(r.Source, now)
	u.tell(now)
	if suspected {
		u.Provider.changed(Change{Provider: u.Provider.ID, Model: u.Model, Status: Cooling, Source: r.Source, Reason: "out of rotation for this user's calls: " + r.why()})
	}
}

// doubtful reports whether a failure may be the request's own fault. The lock is held.
func (u *Upstream) doubtful(now time.Time, r Report) bool {
	return r.Doubtful || r.Scope == ScopeModel && !r.AtOnce && !r.Asked && u.suspects.doubts(r.Source, now)
}

func (u *Upstream) view(provider providerHealth, now time.Time) View {
	s := worst(u.health.standing(now, u.Provider.checkedAt()), provider)
	return View{
		Status: s.status, Probing: s.probing, Probed: s.probed, Until: s.until, Reason: s.reason, InFlight: int(u.inFlight.Load()),
		Failures: s.failures, LastFailure: u.health.lastFailure, Averages: u.averages, Counts: u.counts,
	}
}
