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
	mu       sync.Mutex
	health   Health
	averages Averages
	counts   Counts
	told     Status // of health, as the last Change said
}

// Counts are an upstream's ended attempts since its state began, by what came of them, and what the answers took.
type Counts struct {
	Answered, Refused, Failed, Cancelled uint64  // whole answers, requests' own faults, failures, clients that left
	InputTokens, OutputTokens            uint64  // of whole answers, as the provider reported them
	Cost                                 float64 // of these, in the unit of the config
}

// A View is an upstream's state at a moment.
type View struct {
	Status      Status
	Probing     bool      // back from a cooldown: one attempt at a time
	Probed      bool      // the probe slot is taken
	Until       time.Time // when a cooldown ends or has ended; zero when healthy
	Reason      string    // of the cooldown
	InFlight    int
	Failures    int       // consecutive
	LastFailure time.Time // zero is never
	Averages    Averages
	Counts      Counts
}

// Words tells the upstream's state at now as an operator would say it, such as "cooling until 12:00:05: 5 failures, last:
// connection refused".
func (u *Upstream) Words(now time.Time) string {
	s := u.Provider.standing.Load()
	u.mu.Lock()
	defer u.mu.Unlock()
	if status := u.status(s, now); status == Refused || status == Down {
		return s.words()
	}
	return u.health.words(now)
}

// View returns the state at now and changes nothing.
func (u *Upstream) View(now time.Time) View {
	s := u.Provider.standing.Load()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.view(s, now)
}

// Offer returns the state at now, and whether the upstream may be a candidate. If it is probing, the offer took the single
// probe slot: Begin an attempt or Withdraw.
func (u *Upstream) Offer(now time.Time) (View, bool) { return u.offer(now, Healthy) }

// OfferDown is Offer for an upstream that only a failed active check holds down.
func (u *Upstream) OfferDown(now time.Time) (View, bool) { return u.offer(now, Down) }

func (u *Upstream) offer(now time.Time, provider Status) (View, bool) {
	s := u.Provider.standing.Load()
	u.mu.Lock()
	defer u.tell(now)
	v := u.view(s, now)
	return v, s.status() == provider && u.health.Offer(now)
}

// Withdraw gives back the probe slot that Offer took.
func (u *Upstream) Withdraw() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.health.Withdraw()
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
// probe's success must not wait for its end. If probe is set, the attempt's probe slot is given back.
func (u *Upstream) Commit(began, now time.Time, probe bool) {
	u.mu.Lock()
	defer u.tell(now)
	if probe {
		u.health.Withdraw()
	}
	u.health.Answer(began)
}

// A Change is a state that has become another one.
type Change struct {
	Provider string
	Model    string // of the provider; "" if the change is the whole provider's
	Status   Status // from now on
	Words    string // the same, as an operator would say it
}

// tell tells of a change of health, if there was one, and unlocks u.
func (u *Upstream) tell(now time.Time) {
	before := u.told
	u.told = u.health.Status(now)
	c := Change{Provider: u.Provider.ID, Model: u.Model, Status: u.told}
	if before != u.told {
		c.Words = u.health.words(now)
	}
	u.mu.Unlock()
	if before != c.Status {
		u.Provider.changed(c)
	}
}

// A Report says how an attempt ended.
type Report struct {
	Began      time.Time
	Result     abi.Result
	Answered   bool          // the upstream works: it answered, or refused the request for the request's own fault
	Streamed   bool          // the client asked for a stream
	Latency    time.Duration // to the commit; 0 if there was none
	TTFT       time.Duration // to a stream's first token; 0 if there was none
	RetryAfter time.Duration // as the provider asked; 0 if it did not
	Took       time.Duration // to the end
	Probe      bool          // the attempt held the probe slot
	Reason     string        // why it failed, in a few words; "" is the result's own

	InputTokens, OutputTokens uint32  // of a whole answer
	Cost                      float64 // of these
}

// End records at now how an attempt ended that Begin began.
func (u *Upstream) End(now time.Time, r Report, p Policy) {
	u.inFlight.Add(-1)
	u.Provider.inFlight.Add(-1)
	if r.Result == abi.AuthRefused {
		u.Provider.Refuse()
	}
	u.mu.Lock()
	defer u.tell(now)
	if r.Probe {
		u.health.Withdraw()
	}
	u.counts.add(r)
	u.averages.add(r, now)
	switch {
	case r.Result == abi.ClientCancelled: // counts neither for nor against
	case r.Result == abi.AuthRefused:
	case r.Answered:
		u.health.Succeed(r.Began)
	default:
		u.health.Fail(now, r, p)
	}
}

func (c *Counts) add(r Report) {
	switch {
	case r.Result == abi.OK:
		c.Answered++
	case r.Result == abi.ClientCancelled:
		c.Cancelled++
	case r.Answered:
		c.Refused++
	default:
		c.Failed++
	}
	c.InputTokens += uint64(r.InputTokens)
	c.OutputTokens += uint64(r.OutputTokens)
	c.Cost += r.Cost
}

// status puts together what is known of the provider and of the upstream itself. An active check says nothing of a
// cooldown, so that this goes before it.
func (u *Upstream) status(s *standing, now time.Time) Status {
	own, whole := u.health.Status(now), s.status()
	if whole == Healthy || whole == Down && own == Cooling {
		return own
	}
	return whole
}

func (u *Upstream) view(s *standing, now time.Time) View {
	return View{
		Status: u.status(s, now), Probing: u.health.Status(now) == Probing, Probed: u.health.probe,
		Until: u.health.until, Reason: u.health.reason, InFlight: int(u.inFlight.Load()),
		Failures: u.health.failures, LastFailure: u.health.lastFailure, Averages: u.averages, Counts: u.counts,
	}
}
