// Package upstream holds the live state of upstreams, a provider's models: attempts in flight, averages, health; and one
// connection pool per provider. It outlives the snapshots of the config that name it.
//
// Time comes from the callers, so that a simulator runs the same code on a clock of its own.
package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Provider is the live side of one provider: its connections, and whether it takes the gateway's key.
type Provider struct {
	ID         string
	Transport  http.RoundTripper
	keyRefused atomic.Bool
}

// KeyRefused tells whether the provider answered 401 or 403 to the gateway's key.
func (p *Provider) KeyRefused() bool { return p.keyRefused.Load() }

// An Upstream is one model at one provider. It is safe for concurrent use.
type Upstream struct {
	Provider *Provider
	Model    string // the provider's name for it
	ID       uint64 // abi.CandidateID of both

	inFlight atomic.Int32
	mu       sync.Mutex
	health   Health
	averages Averages
}

// A View is an upstream's state at a moment.
type View struct {
	Status      Status
	Until       time.Time // when a cooldown ends or has ended; zero when healthy
	Reason      string    // of the cooldown
	Probed      bool      // the probe slot is taken
	InFlight    int
	Failures    int       // consecutive
	LastFailure time.Time // zero is never
	Averages    Averages
}

// Words tells the view's status as an operator would say it, such as "cooling until 12:00:05: 5 failures, last: connect".
func (v View) Words() string {
	switch v.Status {
	case Cooling:
		return fmt.Sprintf("cooling until %s: %s", v.Until.Format(time.TimeOnly), v.Reason)
	case Probing:
		return "probing after a cooldown: " + v.Reason
	case Refused:
		return "down: the provider refuses the key"
	default:
		return "healthy"
	}
}

// View returns the state at now and changes nothing.
func (u *Upstream) View(now time.Time) View {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.view(u.status(now))
}

// Offer returns the state at now, and whether the upstream may be a candidate. If its status is Probing, the offer took
// the single probe slot: Begin an attempt or Withdraw.
func (u *Upstream) Offer(now time.Time) (View, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	status := u.status(now)
	ok := status != Refused && u.health.Offer(now)
	return u.view(status), ok
}

// Withdraw gives back the probe slot that Offer took.
func (u *Upstream) Withdraw() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.health.Withdraw()
}

// Begin counts an attempt as in flight until End.
func (u *Upstream) Begin() { u.inFlight.Add(1) }

// Commit records at now that an attempt which began at began is being answered: a stream may last, and what waits for a
// probe's success must not wait for its end. If probe is set, the attempt's probe slot is given back. Commit returns the
// upstream's status before and after.
func (u *Upstream) Commit(began, now time.Time, probe bool) Change {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.status(now)
	if probe {
		u.health.Withdraw()
	}
	u.health.Answer(began)
	return Change{before, u.view(u.status(now))}
}

// A Change is what an attempt did to its upstream's status.
type Change struct {
	Before Status
	After  View
}

// Happened tells whether the status is another one.
func (c Change) Happened() bool { return c.Before != c.After.Status }

// A Report says how an attempt ended.
type Report struct {
	Began      time.Time
	Result     abi.Result
	Answered   bool          // the upstream works: it answered, or refused the request for the request's own fault
	Latency    time.Duration // to the commit; 0 if there was none
	TTFT       time.Duration // to a stream's first token; 0 if there was none
	RetryAfter time.Duration // as the provider asked; 0 if it did not
	Probe      bool          // the attempt held the probe slot
}

// End records at now how an attempt ended that Begin began. It returns the upstream's status before and after.
func (u *Upstream) End(now time.Time, r Report, p Policy) Change {
	u.inFlight.Add(-1)
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.status(now)
	if r.Probe {
		u.health.Withdraw()
	}
	switch {
	case r.Result == abi.ClientCancelled: // counts neither for nor against
	case r.Result == abi.AuthRefused:
		u.Provider.keyRefused.Store(true)
		u.averages.add(false, 0, 0)
	case r.Answered:
		u.health.Succeed(r.Began)
		u.averages.add(true, r.Latency, r.TTFT)
	default:
		u.health.Fail(r.Began, now, r.Result, r.RetryAfter, p)
		u.averages.add(false, 0, 0)
	}
	return Change{before, u.view(u.status(now))}
}

func (u *Upstream) status(now time.Time) Status {
	if u.Provider.KeyRefused() {
		return Refused
	}
	return u.health.Status(now)
}

func (u *Upstream) view(s Status) View {
	return View{
		Status: s, Until: u.health.until, Reason: u.health.reason, Probed: u.health.probe, InFlight: int(u.inFlight.Load()),
		Failures: u.health.failures, LastFailure: u.health.lastFailure, Averages: u.averages,
	}
}
