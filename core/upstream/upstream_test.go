package upstream

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

var policy = Policy{FailureThreshold: 3, Cooldown: 10 * time.Second, MaxCooldown: 60 * time.Second, MaxRetryAfter: 5 * time.Minute, CheckFailures: 2}

// at is a moment of a test's clock.
func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func one() *Upstream { return told(func(Change) {}) }

// told returns an upstream whose changes go to f.
func told(f func(Change)) *Upstream {
	l := NewSet(f).Lease()
	p, err := l.Provider("p", Identity{})
	if err != nil {
		panic(err)
	}
	return l.Upstream(p, "m")
}

// try makes an attempt that begins and ends at the moment, as a candidate would be tried.
func try(t *testing.T, u *Upstream, now time.Time, r Report) {
	t.Helper()
	v, ok := u.TryAcquire(now)
	if !ok {
		t.Fatalf("at %v: %s is no candidate", now, state(u, now))
	}
	u.Begin(0)
	r.Began, r.Probe = now, v.Probe
	u.End(now, r, policy)
}

// state returns the upstream's state and the reason for it.
func state(u *Upstream, now time.Time) string {
	v := u.View(now)
	if reason := v.Explain(now); reason != "" {
		return v.Status.String() + ": " + reason
	}
	return v.Status.String()
}

func expect(t *testing.T, u *Upstream, now time.Time, want string) {
	t.Helper()
	if got := state(u, now); got != want {
		t.Errorf("at %v: %q, want %q", now.Sub(at(0)), got, want)
	}
}

var (
	good    = Report{Result: abi.OK, Answered: true, Latency: 100 * time.Millisecond}
	bad     = Report{Result: abi.ServerError}
	limited = Report{Result: abi.RateLimited, AtOnce: true}
	refused = Report{Result: abi.AuthRefused, Scope: ScopeAccount, RefusedKey: true}
	broke   = Report{Result: abi.AuthRefused, Scope: ScopeAccount, AtOnce: true, Reason: "status 402"}
	dialled = Report{Result: abi.ConnectFailed, Scope: ScopeHost, Reason: "connection refused"}
)

func TestCooldownDoublesUntilASuccess(t *testing.T) {
	u := one()
	try(t, u, at(0), bad)
	try(t, u, at(0), bad)
	expect(t, u, at(0), "healthy")
	try(t, u, at(0), bad)
	expect(t, u, at(9), "cooling: 3 failures, last: server_error; next probe in 1 s")
	expect(t, u, at(10), "probing: 3 failures, last: server_error; one attempt at a time until one succeeds")
	try(t, u, at(10), bad) // the probe fails: 20 s
	expect(t, u, at(29), "cooling: 4 failures, last: server_error; next probe in 1 s")
	try(t, u, at(30), bad) // 40 s
	try(t, u, at(70), bad) // 60 s, not 80
	if v := u.View(at(71)); !v.Until.Equal(at(130)) {
		t.Errorf("the fourth cooldown ends at %v", v.Until.Sub(at(0)))
	}
	try(t, u, at(130), good)
	expect(t, u, at(130), "healthy")
	try(t, u, at(131), bad)
	expect(t, u, at(131), "healthy") // and counting begins anew
}

func TestSuccessesInBetweenKeepItHealthy(t *testing.T) {
	u := one()
	for i := range 10 {
		try(t, u, at(float64(i)), bad)
		try(t, u, at(float64(i)), bad)
		try(t, u, at(float64(i)), good)
	}
	expect(t, u, at(10), "healthy")
}

func TestOneProbeAtATime(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(0), bad)
	}
	v, ok := u.TryAcquire(at(10))
	if !ok {
		t.Fatal("the first is no probe")
	}
	if _, ok := u.TryAcquire(at(10)); ok {
		t.Fatal("a second probe beside the first")
	}
	u.Release(v.Probe)
	if v, ok = u.TryAcquire(at(10)); !ok {
		t.Fatal("the slot was not given back")
	}
	u.Begin(0)
	u.End(at(11), Report{Began: at(10), Result: abi.ClientCancelled, Probe: v.Probe}, policy)
	expect(t, u, at(11), "probing: 3 failures, last: server_error; one attempt at a time until one succeeds")
	try(t, u, at(12), good)
	expect(t, u, at(12), "healthy")
}

// A stream that has begun ends the probing, whatever it lasts; one that breaks brings the cooldown back, and longer.
func TestStreamedProbe(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(0), bad)
	}
	v, ok := u.TryAcquire(at(10))
	if !ok {
		t.Fatal("no probe")
	}
	u.Begin(0)
	u.Commit(at(10), at(11), v.Probe)
	expect(t, u, at(11), "healthy")
	if _, ok := u.TryAcquire(at(12)); !ok {
		t.Error("others wait for the stream's end")
	}
	u.End(at(13), Report{Began: at(10), Result: abi.StreamBroken}, policy)
	if v := u.View(at(13)); !v.Until.Equal(at(33)) {
		t.Error(state(u, at(13)))
	}
}

// Streams that all break cool their upstream, though each of them had begun well.
func TestBrokenStreamsAddUp(t *testing.T) {
	u := one()
	for i := range 3 {
		u.Begin(0)
		u.Commit(at(float64(i)), at(float64(i)), 0)
		u.End(at(float64(i)), Report{Began: at(float64(i)), Result: abi.StreamBroken}, policy)
	}
	if v := u.View(at(3)); v.Status != Cooling {
		t.Errorf("%+v", v)
	}
}

// What was under way when a cooldown began says nothing about the time after it: neither for good nor for bad.
func TestLateComers(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(1), bad)
	}
	for _, r := range []Report{good, bad, bad, bad} {
		u.Begin(0)
		r.Began = at(0)
		u.End(at(5), r, policy)
	}
	if v := u.View(at(5)); !v.Until.Equal(at(11)) {
		t.Errorf("%+v", v)
	}
}

func TestRateLimits(t *testing.T) {
	for name, test := range map[string]struct {
		asked            bool
		retryAfter, want time.Duration
	}{
		"as asked": {true, 2 * time.Second, 2 * time.Second}, "not asked": {false, 0, 10 * time.Second}, "absurd": {true, 24 * time.Hour, 5 * time.Minute},
		"at once": {true, 0, 0},
	} {
		for _, r := range []Report{limited, {Result: abi.ServerError, Reason: "status 503"}} {
			if r.Result == abi.ServerError && !test.asked {
				continue // counts like any other
			}
			u := one()
			r.Asked, r.RetryAfter = test.asked, test.retryAfter
			try(t, u, at(0), r)
			want := Cooling
			if test.want == 0 {
				want = Healthy
			}
			if v := u.View(at(0)); v.Status != want || want == Cooling && (v.Until.Sub(at(0)) != test.want || !strings.Contains(v.Reason, r.why())) {
				t.Errorf("%v %s: %+v", r.Result, name, v)
			}
			u.Provider.CheckPassed(at(1), at(1))
			if test.asked && u.View(at(1)).Status != want {
				t.Errorf("%v %s: a check ends what the provider asked for", r.Result, name)
			}
		}
	}
}

// accounts returns two upstreams of one provider, and others beside it: of another provider, and of the same one with another key.
func accounts(t *testing.T) (u, twin, other, rotated *Upstream) {
	t.Helper()
	l := NewSet(func(Change) {}).Lease()
	provider := func(id string, a Identity) *Provider {
		p, err := l.Provider(id, a)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := provider("p", Identity{})
	return l.Upstream(p, "m"), l.Upstream(p, "n"), l.Upstream(provider("q", Identity{}), "m"), l.Upstream(provider("p", Identity{Identity: [32]byte{1}}), "m")
}

// A key is refused when the account's calls keep failing so; that is the account's, not the upstream's, and ends by a probe.
func TestRefusedKey(t *testing.T) {
	u, twin, other, rotated := accounts(t)
	try(t, u, at(0), refused)
	try(t, twin, at(1), refused)
	expect(t, u, at(1), "healthy") // it may have been a bad moment
	try(t, u, at(2), good)
	for i := range 3 {
		expect(t, u, at(3), "healthy")
		try(t, []*Upstream{u, twin}[i%2], at(3), refused)
	}
	for _, upstream := range []*Upstream{u, twin} {
		expect(t, upstream, at(3), "refused: the provider refuses the key; next probe in 10 s")
	}
	for _, upstream := range []*Upstream{other, rotated} {
		expect(t, upstream, at(3), "healthy")
	}
	if _, ok := u.OfferDown(at(4)); ok {
		t.Error("a panic overrides a refused key")
	}
	expect(t, u, at(13), "probing: 3 failures, last: auth; one attempt at a time until one succeeds")
	v, ok := u.TryAcquire(at(13))
	if _, twice := twin.TryAcquire(at(13)); !ok || twice {
		t.Fatalf("a probe: %v, one more at the account's other model: %v", ok, twice)
	}
	u.Begin(0)
	r := refused
	r.Began, r.Probe = at(13), v.Probe
	u.End(at(14), r, policy)
	expect(t, twin, at(33), "refused: the provider refuses the key; next probe in 1 s") // 20 s
	try(t, twin, at(34), good)
	expect(t, u, at(34), "healthy")
}

// What else ends a refused key: a reload, a check.
func TestRefusedKeyIsForgiven(t *testing.T) {
	for name, forgive := range map[string]func(*Provider){
		"reload": func(p *Provider) { p.ClearAuthFailure(at(1)) },
		"check":  func(p *Provider) { p.CheckPassed(at(1), at(1)) },
	} {
		u := one()
		for range 3 {
			try(t, u, at(0), refused)
		}
		expect(t, u, at(0), "refused: the provider refuses the key; next probe in 10 s")
		forgive(u.Provider)
		expect(t, u, at(1), "healthy")
		t.Log(name)
	}
}

// A check that is refused the key confirms what attempts have shown; alone, two in a row are needed.
func TestCheckRefused(t *testing.T) {
	u := one()
	try(t, u, at(0), refused)
	u.Provider.CheckRefused(at(1), policy)
	expect(t, u, at(1), "refused: the provider refuses the key; next probe in 10 s")
	u = one()
	u.Provider.CheckRefused(at(1), policy)
	expect(t, u, at(1), "healthy")
	u.Provider.CheckRefused(at(31), policy)
	expect(t, u, at(31), "refused: the provider refuses the key; next probe in 10 s")
}

// An account that is out of credit cools at once, for all of its models.
func TestOutOfCredit(t *testing.T) {
	u, twin, other, _ := accounts(t)
	try(t, u, at(0), broke)
	expect(t, twin, at(9), "cooling: status 402; next probe in 1 s")
	expect(t, other, at(0), "healthy")
	try(t, twin, at(10), broke)
	expect(t, u, at(29), "cooling: status 402; next probe in 1 s")
	try(t, u, at(30), good)
	expect(t, twin, at(30), "healthy")
}

// A host that cannot be connected to is so for all of its models; whatever answers ends that.
func TestHost(t *testing.T) {
	u, twin, other, _ := accounts(t)
	for i := range 3 {
		try(t, []*Upstream{u, twin}[i%2], at(0), dialled)
	}
	expect(t, u, at(0), "cooling: 3 failures, last: connection refused; next probe in 10 s")
	expect(t, other, at(0), "healthy")
	if v := twin.View(at(0)); v.Failures != 3 || v.Status != Cooling {
		t.Errorf("%+v", v)
	}
	try(t, twin, at(10), bad)
	expect(t, u, at(10), "healthy") // it has had two failures of its own
}

// Attempts that one event ends count as one failure.
func TestOneEventIsOneFailure(t *testing.T) {
	u := one()
	together := func(began, ended float64) {
		for range 100 {
			u.Begin(0)
			r := bad
			r.Began = at(began)
			u.End(at(ended), r, policy)
		}
	}
	together(0, 5)
	together(1, 5.9)
	if v := u.View(at(6)); v.Failures != 1 || v.Status != Healthy {
		t.Errorf("%+v", v)
	}
	together(2, 6.5) // a second and more after the first: not the same event
	together(6.6, 7)
	expect(t, u, at(7), "cooling: 3 failures, last: server_error; next probe in 10 s")
}

// What a request may have caused itself takes the upstream out of rotation for who asks so, and is one failure for all others.
func TestDoubtfulFailures(t *testing.T) {
	alice, bob := Source{"alice", "/chat/completions"}, Source{"bob", "/chat/completions"}
	slow := func(of Source) Report { return Report{Result: abi.TimedOut, Doubtful: true, Source: of} }
	u := one()
	for i := range 3 {
		try(t, u, at(float64(i)), slow(alice))
	}
	if !u.Avoids(alice, at(2)) || u.Avoids(bob, at(2)) || u.Avoids(Source{"alice", "/embeddings"}, at(2)) {
		t.Error("want it out of rotation for alice's chats alone")
	}
	if v := u.View(at(2)); v.Failures != 1 || v.Status != Healthy || v.Averages.Samples != 1 {
		t.Errorf("%+v", v)
	}
	if u.Avoids(alice, at(12.1)) {
		t.Error("it is out of rotation for ever")
	}
	for range 100 {
		try(t, u, at(3), slow(bob))
		try(t, u, at(3), slow(alice))
	}
	expect(t, u, at(3), "healthy") // two users
	try(t, u, at(4), slow(Source{"carol", "/chat/completions"}))
	if v := u.View(at(4)); v.Status != Cooling {
		t.Errorf("after three users' failures: %+v", v)
	}
	good := good
	good.Source = alice
	try(t, u, at(14), good)
	if u.Avoids(alice, at(14)) || u.View(at(14)).Status != Healthy {
		t.Error("a success does not end it")
	}
}

// A user whose requests make the provider fail does not take it from a slower user, whose requests succeed; when those fail, too, it is out of
// rotation for all as soon as without them.
func TestPoisonousRequests(t *testing.T) {
	alice, bob := Source{"alice", "/chat/completions"}, Source{"bob", "/chat/completions"}
	u := one()
	served := func(s Source, now time.Time) bool { return u.View(now).Status == Healthy && !u.Avoids(s, now) }
	good, bad := good, bad
	good.Source, bad.Source = alice, bob
	for i := range 600 { // a minute
		now := at(float64(i) / 10)
		if i%30 == 0 {
			if !served(alice, now) {
				t.Fatalf("at %d.%d s alice is not served: %+v", i/10, i%10, u.View(now))
			}
			try(t, u, now, good)
		}
		if i%3 == 0 && served(bob, now) {
			try(t, u, now, bad)
		}
	}
	bad.Source = alice
	for i := range policy.FailureThreshold {
		if !served(alice, at(61+2*float64(i))) {
			t.Fatalf("out of rotation after %d failures, want %d", i, policy.FailureThreshold)
		}
		try(t, u, at(61+2*float64(i)), bad)
	}
	if now := at(61 + 2*float64(policy.FailureThreshold)); u.View(now).Status != Cooling {
		t.Errorf("after %d failures of alice's: %+v", policy.FailureThreshold, u.View(now))
	}
}

// However many users there are, what is remembered of their failures is bounded.
func TestSuspectsAreBounded(t *testing.T) {
	u := one()
	for i := range 10 * maxSuspects {
		u.Begin(0)
		u.End(at(float64(i)), Report{Began: at(float64(i)), Result: abi.TimedOut, Doubtful: true, Source: Source{User: strconv.Itoa(i)}}, policy)
	}
	if n := len(u.suspects.of); n > maxSuspects {
		t.Errorf("%d are remembered, want at most %d", n, maxSuspects)
	}
}

// Failures of the request's own touch nobody.
func TestNobodysFailure(t *testing.T) {
	u := one()
	for range 10 {
		try(t, u, at(0), Report{Result: abi.ClientError, Scope: ScopeNobody})
	}
	if v := u.View(at(0)); v.Status != Healthy || v.Failures != 0 || v.Averages.Samples != 0 {
		t.Errorf("%+v", v)
	}
}

// An active check that fails twice in a row holds down every upstream of its provider, unless attempts are answered.
func TestActiveCheck(t *testing.T) {
	u := one()
	u.Provider.CheckFailed(at(0), "connection refused", policy)
	expect(t, u, at(0), "healthy")
	try(t, u, at(10), good)
	u.Provider.CheckFailed(at(30), "connection refused", policy)
	expect(t, u, at(30), "healthy") // an attempt was answered meanwhile
	u.Provider.CheckFailed(at(60), "connection refused", policy)
	expect(t, u, at(60), "down: the health check failed: connection refused")
	if _, ok := u.TryAcquire(at(61)); ok {
		t.Error("it is offered")
	}
	v, ok := u.OfferDown(at(61))
	if !ok || v.Status != Down || v.Probing {
		t.Errorf("in a panic: %v %+v", ok, v)
	}
	u.Begin(0)
	u.End(at(62), Report{Began: at(61), Result: abi.OK, Answered: true}, policy)
	expect(t, u, at(62), "down: the health check failed: connection refused")
	u.Provider.CheckFailed(at(90), "connection refused", policy)
	expect(t, u, at(90), "healthy") // the check stands against an answer
}

// A check that passes allows one early probe in a cooldown.
func TestEarlyProbe(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(0), bad)
	}
	u.Provider.CheckPassed(at(-1), at(1)) // it began before the cooldown did
	if _, ok := u.TryAcquire(at(1)); ok {
		t.Error("a check that began earlier allows a probe")
	}
	u.Provider.CheckPassed(at(2), at(3))
	expect(t, u, at(3), "probing: 3 failures, last: server_error; one attempt at a time until one succeeds")
	try(t, u, at(3), bad)
	if _, ok := u.TryAcquire(at(4)); ok {
		t.Error("a second early probe")
	}
	if v := u.View(at(4)); v.Status != Cooling || !v.Until.Equal(at(23)) {
		t.Errorf("%+v", v)
	}
	u.Provider.CheckPassed(at(5), at(5))
	try(t, u, at(6), good)
	expect(t, u, at(6), "healthy")
}

// A panic overrides failed checks, no cooldown.
func TestPanicAndCooldown(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(0), bad)
	}
	for range 2 {
		u.Provider.CheckFailed(at(1), "status 503", policy)
	}
	if _, ok := u.OfferDown(at(1)); ok {
		t.Error("a panic overrides a cooldown")
	}
	v, ok := u.OfferDown(at(10))
	if !ok || !v.Probing || v.Status != Down {
		t.Errorf("in a panic after the cooldown: %v %+v", ok, v)
	}
	if _, ok := u.OfferDown(at(10)); ok {
		t.Error("a second probe beside the first")
	}
}

// Each change is told once, whoever finds it.
func TestChangesAreToldOnce(t *testing.T) {
	var heard []string
	u := told(func(c Change) { heard = append(heard, c.Provider+"/"+c.Model+" "+c.Status.String()) })
	for range 3 {
		try(t, u, at(0), bad)
	}
	for range 2 {
		if _, ok := u.TryAcquire(at(9)); ok {
			t.Error("offered while cooling")
		}
	}
	v, ok := u.TryAcquire(at(11))
	if !ok {
		t.Error("no probe")
	}
	u.Release(v.Probe)
	try(t, u, at(12), good)
	for range 3 {
		u.Provider.CheckFailed(at(13), "status 500", policy)
	}
	u.Provider.CheckPassed(at(14), at(14))
	u.Provider.CheckPassed(at(15), at(15))
	want := "p/m cooling, p/m probing, p/m healthy, p/ down, p/ healthy"
	if got := strings.Join(heard, ", "); got != want {
		t.Errorf("heard %s\nwant  %s", got, want)
	}
}

// What a lease names lives until the last lease that names it ends.
func TestLeases(t *testing.T) {
	s := NewSet(func(Change) {})
	name := func(l *Lease) (*Provider, *Upstream, *atomic.Uint64) {
		p, err := l.Provider("p", Identity{})
		if err != nil {
			t.Fatal(err)
		}
		return p, l.Upstream(p, "m"), l.Sequence("m")
	}
	first, second := s.Lease(), s.Lease()
	p, u, n := name(first)
	if p2, u2, n2 := name(second); p2 != p || u2 != u || n2 != n {
		t.Error("two leases that name the same have not the same")
	}
	first.End()
	third := s.Lease()
	if p3, u3, n3 := name(third); p3 != p || u3 != u || n3 != n {
		t.Error("what the second lease named was forgotten with the first")
	}
	second.End()
	third.End()
	if len(s.providers)+len(s.upstreams)+len(s.sequences) != 0 {
		t.Errorf("left: %v %v %v", s.providers, s.upstreams, s.sequences)
	}
}

func TestAccountsCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, ca := range [][]byte{nil, own} {
		l := NewSet(func(Change) {}).Lease()
		p, err := l.Provider("p", Identity{CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: p.Transport}).Get(server.URL)
		if err == nil {
			response.Body.Close()
		}
		if trusted := err == nil; trusted != (ca != nil) {
			t.Errorf("with %d bytes of certificates: %v", len(ca), err)
		}
		l.End()
	}
}

func TestAverages(t *testing.T) {
	u := one()
	if v := u.View(at(0)); v.Averages.Success() != 1 || v.Averages.LatencyMS != 0 {
		t.Errorf("unknown: %+v", v.Averages)
	}
	try(t, u, at(0), good)
	try(t, u, at(0), Report{Result: abi.OK, Answered: true, Latency: 200 * time.Millisecond, TTFT: 50 * time.Millisecond})
	try(t, u, at(0), bad) // no latency sample
	try(t, u, at(0), Report{Result: abi.ClientError, Answered: true})
	a := u.View(at(0)).Averages
	if a.Samples != 3 || a.LatencyMS != 120 || a.TTFTMS != 50 || a.Success() < 0.799 || a.Success() > 0.801 {
		t.Errorf("%+v, success %v", a, a.Success())
	}
	u.Begin(0)
	u.End(at(0), Report{Result: abi.ClientCancelled}, policy)
	a.Plain.Misses++
	if got := u.View(at(0)).Averages; got != a {
		t.Errorf("after a client that left %+v, want %+v", got, a)
	}
}

// Every begin has its end, whoever looks on.
func TestHammer(t *testing.T) {
	u := one()
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 500 {
				now := at(float64(i))
				v, ok := u.TryAcquire(now)
				if !ok {
					continue
				}
				u.Begin(0)
				r := good
				if (worker+i)%3 == 0 {
					r = bad
				}
				r.Began, r.Probe = now, v.Probe
				u.End(now, r, policy)
				_ = state(u, now)
			}
		})
	}
	all.Wait()
	if n := u.View(at(0)).InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}
