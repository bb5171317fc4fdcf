package upstream

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

var policy = Policy{FailureThreshold: 3, Cooldown: 10 * time.Second, MaxCooldown: 60 * time.Second}

// at is a moment of a test's clock.
func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func one() *Upstream { return told(func(Change) {}) }

// told returns an upstream whose changes go to f.
func told(f func(Change)) *Upstream {
	l := NewSet(f).Lease()
	p, err := l.Provider("p", Account{})
	if err != nil {
		panic(err)
	}
	return l.Upstream(p, "m")
}

// try makes an attempt that begins and ends at the moment, as a candidate would be tried.
func try(t *testing.T, u *Upstream, now time.Time, r Report) {
	t.Helper()
	v, ok := u.Offer(now)
	if !ok {
		t.Fatalf("at %v: %s is no candidate", now, u.Words(now))
	}
	u.Begin(0)
	r.Began, r.Probe = now, v.Probing
	u.End(now, r, policy)
}

func expect(t *testing.T, u *Upstream, now time.Time, want string) {
	t.Helper()
	if got := u.Words(now); got != want {
		t.Errorf("at %v: %q, want %q", now.Sub(at(0)), got, want)
	}
}

var (
	good    = Report{Result: abi.OK, Answered: true, Latency: 100 * time.Millisecond}
	bad     = Report{Result: abi.ServerError}
	limited = Report{Result: abi.RateLimited}
)

func TestCooldownDoublesUntilASuccess(t *testing.T) {
	u := one()
	try(t, u, at(0), bad)
	try(t, u, at(0), bad)
	expect(t, u, at(0), "healthy")
	try(t, u, at(0), bad)
	expect(t, u, at(9), "cooling until "+at(10).Format(time.TimeOnly)+": 3 failures, last: server_error")
	expect(t, u, at(10), "probing after a cooldown: 3 failures, last: server_error")
	try(t, u, at(10), bad) // the probe fails: 20 s
	expect(t, u, at(29), "cooling until "+at(30).Format(time.TimeOnly)+": 4 failures, last: server_error")
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
	if _, ok := u.Offer(at(10)); !ok {
		t.Fatal("the first is no probe")
	}
	if _, ok := u.Offer(at(10)); ok {
		t.Fatal("a second probe beside the first")
	}
	u.Withdraw()
	if _, ok := u.Offer(at(10)); !ok {
		t.Fatal("the slot was not given back")
	}
	u.Begin(0)
	u.End(at(11), Report{Began: at(10), Result: abi.ClientCancelled, Probe: true}, policy)
	expect(t, u, at(11), "probing after a cooldown: 3 failures, last: server_error")
	try(t, u, at(12), good)
	expect(t, u, at(12), "healthy")
}

// A stream that has begun ends the probing, whatever it lasts; one that breaks brings the cooldown back, and longer.
func TestStreamedProbe(t *testing.T) {
	u := one()
	for range 3 {
		try(t, u, at(0), bad)
	}
	if _, ok := u.Offer(at(10)); !ok {
		t.Fatal("no probe")
	}
	u.Begin(0)
	u.Commit(at(10), at(11), true)
	expect(t, u, at(11), "healthy")
	if _, ok := u.Offer(at(12)); !ok {
		t.Error("others wait for the stream's end")
	}
	u.End(at(13), Report{Began: at(10), Result: abi.StreamBroken}, policy)
	if v := u.View(at(13)); !v.Until.Equal(at(33)) {
		t.Errorf("%s", u.Words(at(13)))
	}
}

// Streams that all break cool their upstream, though each of them had begun well.
func TestBrokenStreamsAddUp(t *testing.T) {
	u := one()
	for i := range 3 {
		u.Begin(0)
		u.Commit(at(float64(i)), at(float64(i)), false)
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
		retryAfter, want time.Duration
	}{
		"as asked": {2 * time.Second, 2 * time.Second}, "not asked": {0, 10 * time.Second}, "absurd": {24 * time.Hour, 60 * time.Second},
	} {
		u := one()
		r := limited
		r.RetryAfter = test.retryAfter
		try(t, u, at(0), r)
		if v := u.View(at(0)); v.Status != Cooling || v.Until.Sub(at(0)) != test.want || !strings.Contains(v.Reason, "rate limited") {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// A refused key is the provider's, not the upstream's.
func TestRefusedKey(t *testing.T) {
	l := NewSet(func(Change) {}).Lease()
	provider := func(id string, a Account) *Provider {
		p, err := l.Provider(id, a)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := provider("p", Account{})
	u, twin, other := l.Upstream(p, "m"), l.Upstream(p, "n"), l.Upstream(provider("q", Account{}), "m")
	rotated := l.Upstream(provider("p", Account{Identity: [32]byte{1}}), "m")
	try(t, u, at(0), Report{Result: abi.AuthRefused})
	expect(t, u, at(0), "down: the provider refuses the key")
	expect(t, twin, at(0), "down: the provider refuses the key")
	expect(t, other, at(0), "healthy")
	expect(t, rotated, at(0), "healthy")
	p.Failed("status 500")
	expect(t, u, at(0), "down: the provider refuses the key")
	p.Forgive()
	expect(t, u, at(0), "down: the health check failed: status 500")
	p.Passed()
	expect(t, u, at(0), "healthy")
}

// An active check that fails holds down every upstream of its provider; one that passes ends no cooldown.
func TestActiveCheck(t *testing.T) {
	u := one()
	u.Provider.Failed("connection refused")
	expect(t, u, at(0), "down: the health check failed: connection refused")
	if _, ok := u.Offer(at(0)); ok {
		t.Error("it is offered")
	}
	if v, ok := u.OfferDown(at(0)); !ok || v.Status != Down || v.Probing {
		t.Errorf("in a panic: %v %+v", ok, v)
	}
	for range 3 {
		u.Begin(0)
		u.End(at(0), bad, policy)
	}
	u.Provider.Passed()
	expect(t, u, at(1), "cooling until "+at(10).Format(time.TimeOnly)+": 3 failures, last: server_error")
	u.Provider.Failed("status 503")
	if _, ok := u.OfferDown(at(1)); ok {
		t.Error("a panic overrides a cooldown")
	}
	if v, ok := u.OfferDown(at(10)); !ok || !v.Probing {
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
		if _, ok := u.Offer(at(9)); ok {
			t.Error("offered while cooling")
		}
	}
	if _, ok := u.Offer(at(11)); !ok {
		t.Error("no probe")
	}
	u.Withdraw()
	try(t, u, at(12), good)
	for range 2 {
		u.Provider.Failed("status 500")
	}
	u.Provider.Passed()
	u.Provider.Passed()
	want := "p/m cooling, p/m probing, p/m healthy, p/ down, p/ healthy"
	if got := strings.Join(heard, ", "); got != want {
		t.Errorf("heard %s\nwant  %s", got, want)
	}
}

// What a lease names lives until the last lease that names it ends.
func TestLeases(t *testing.T) {
	s := NewSet(func(Change) {})
	name := func(l *Lease) (*Provider, *Upstream, *atomic.Uint64) {
		p, err := l.Provider("p", Account{})
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
		p, err := l.Provider("p", Account{CA: ca})
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
				v, ok := u.Offer(now)
				if !ok {
					continue
				}
				u.Begin(0)
				r := good
				if (worker+i)%3 == 0 {
					r = bad
				}
				r.Began, r.Probe = now, v.Probing
				u.End(now, r, policy)
				_ = u.Words(now)
			}
		})
	}
	all.Wait()
	if n := u.View(at(0)).InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}
