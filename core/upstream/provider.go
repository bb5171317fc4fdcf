package upstream

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Provider is the live state of one provider's account: its connection pool, and the health of the account and the host. It is safe for
// concurrent use.
type Provider struct {
	ID        string
	Transport http.RoundTripper

	inFlight    atomic.Int32 // attempts
	connections *connections
	changed     func(Change)

	succeeded atomic.Int64 // when an attempt was answered last, in Unix ns
	checked   atomic.Int64 // when the latest active check that passed began, in Unix ns; 0 is never
	troubled  atomic.Bool  // something below is not its zero value; else nobody needs the lock

	mu       sync.Mutex
	account  Health // its key and its credit
	refused  bool   // the account's cooldown is for its key
	host     Health
	checks   checks
	reported Status // as the last Change said
}

// checks are the results of the health checks.
type checks struct {
	failures int       // consecutive, without an answered attempt between them
	first    time.Time // of these
	down     string    // why the provider is down; "" if it is not
}

// InFlight returns the number of attempts in flight for all the provider's models.
func (p *Provider) InFlight() int { return int(p.inFlight.Load()) }

// enter counts one more attempt in flight, unless that exceeds limit; 0: no limit.
func (p *Provider) enter(limit int) bool {
	for {
		n := p.inFlight.Load()
		if limit > 0 && int(n) >= limit {
			return false
		}
		if p.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// CheckPassed records at now a passed health check that began at began. It ends a state that failed checks or a refused key began, and
// allows one early probe in each current cooldown that the provider has not asked for.
func (p *Provider) CheckPassed(began, now time.Time) {
	p.checked.Store(began.UnixNano())
	p.update(now, func() {
		p.checks = checks{}
		if p.refused {
			p.account, p.refused = Health{}, false
		}
	})
}

// CheckFailed records at now a failed health check and its reason. The provider is down after as many in a row as the policy says, without a
// response to an attempt in between.
func (p *Provider) CheckFailed(now time.Time, why string, policy Policy) {
	p.update(now, func() {
		p.checks.down = ""
		if p.failedAgain(now) >= policy.CheckFailures {
			p.checks.down = why
		}
	})
}

// CheckRefused records at now a health check whose key was refused. One is enough if attempts were refused, too.
func (p *Provider) CheckRefused(now time.Time, policy Policy) {
	p.update(now, func() {
		if suspect := p.account.failures > 0; p.failedAgain(now) >= policy.CheckFailures || suspect {
			p.account.cool(now, policy, "the health check was refused the key")
			p.refused = true
		}
	})
}

// failedAgain counts a failed check and returns the number of consecutive ones.
func (p *Provider) failedAgain(now time.Time) int {
	if p.checks.failures == 0 || p.succeeded.Load() > p.checks.first.UnixNano() {
		p.checks.failures, p.checks.first = 0, now
	}
	p.checks.failures++
	return p.checks.failures
}

// ClearAuthFailure ends the state that a refused key or an empty account began: a reload may have fixed it.
func (p *Provider) ClearAuthFailure(now time.Time) {
	p.update(now, func() { p.account, p.refused = Health{}, false })
}

// fail records at now an attempt's failure that affects the account or the host.
func (p *Provider) fail(now time.Time, r Report, policy Policy) {
	p.update(now, func() {
		if r.Scope == ScopeHost {
			p.host.Fail(now, r, policy)
			return
		}
		p.host.Succeed(r.Began)
		p.account.Fail(now, r, policy)
		p.refused = r.RefusedKey && !p.account.until.IsZero()
	})
}

// connected records that an attempt which began at began reached the host.
func (p *Provider) connected(began, now time.Time) {
	if p.troubled.Load() {
		p.update(now, func() { p.host.Succeed(began) })
	}
}

// answered records at now that an attempt which began at began got a response: the host and the account work.
func (p *Provider) answered(began, now time.Time) {
	p.succeeded.Store(now.UnixNano())
	if !p.troubled.Load() {
		return
	}
	p.update(now, func() {
		p.host.Succeed(began)
		p.account.Succeed(began)
		p.refused = p.refused && !p.account.until.IsZero()
	})
}

// offer reports whether attempts may be made at now, and takes the probe slots that they need. In panic mode it ignores failed checks.
func (p *Provider) offer(now time.Time, panicking bool) (slots Probe, ok bool) {
	if !p.troubled.Load() {
		return 0, !panicking
	}
	p.update(now, func() {
		if ok = panicking == (p.checks.down != ""); !ok {
			return
		}
		checked := p.checkedAt()
		var probe bool
		if probe, ok = p.account.TryAcquireProbe(now, checked); !ok {
			return
		} else if probe {
			slots |= probesAccount
		}
		if probe, ok = p.host.TryAcquireProbe(now, checked); probe {
			slots |= probesHost
		}
		if !ok && slots != 0 {
			p.account.ReleaseProbe()
		}
	})
	return slots, ok
}

// withdraw gives the probe slots back.
func (p *Provider) withdraw(slots Probe) {
	if slots&(probesAccount|probesHost) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slots&probesAccount != 0 {
		p.account.ReleaseProbe()
	}
	if slots&probesHost != 0 {
		p.host.ReleaseProbe()
	}
}

func (p *Provider) checkedAt() time.Time {
	if ns := p.checked.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// update changes the state by f, and reports a change of health.
func (p *Provider) update(now time.Time, f func()) {
	p.mu.Lock()
	f()
	p.troubled.Store(!p.account.quiet() || !p.host.quiet() || p.checks != checks{})
	s, before := p.standing(now), p.reported
	p.reported = s.status
	p.mu.Unlock()
	if before != s.status {
		p.changed(Change{Provider: p.ID, Status: s.status, Reason: s.explain(now)})
	}
}

// A providerHealth is the health of a provider, or of an upstream, at one time.
type providerHealth struct {
	status   Status
	until    time.Time
	reason   string
	probing  bool // an attempt needs a probe slot
	probed   bool // which is taken
	failures int
}

func (s *providerHealth) explain(now time.Time) string {
	return explain(s.status, s.reason, s.until, now)
}

// worst returns the worse of two, with the higher number of failures.
func worst(a, b providerHealth) providerHealth {
	out := a
	if b.status.severity() > a.status.severity() || b.status == a.status && b.until.After(a.until) {
		out = b
	}
	out.probing, out.probed = a.probing || b.probing, a.probed || b.probed
	out.failures = max(a.failures, b.failures)
	return out
}

// standing returns the health's state.
func (h *Health) standing(now, checked time.Time) providerHealth {
	s := h.Status(now, checked)
	return providerHealth{status: s, until: h.until, reason: h.reason, probing: s == Probing, probed: s == Probing && h.probe, failures: h.failures}
}

// standing returns the provider's state; the lock is held.
func (p *Provider) standing(now time.Time) providerHealth {
	checked := p.checkedAt()
	account := p.account.standing(now, checked)
	if account.status == Cooling && p.refused {
		account.status = Refused
	}
	s := worst(account, p.host.standing(now, checked))
	if p.checks.down != "" {
		s = worst(s, providerHealth{status: Down, reason: p.checks.down})
	}
	return s
}

// view is standing without the lock held.
func (p *Provider) view(now time.Time) providerHealth {
	if !p.troubled.Load() {
		return providerHealth{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.standing(now)
}

// State returns the provider's own state at now, and its reason; "" if it is Healthy.
func (p *Provider) State(now time.Time) (s Status, reason string) {
	is := p.view(now)
	return is.status, is.explain(now)
}
