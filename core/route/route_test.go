package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// choose is a selector of one line.
type choose func(q *core.Query) (int, error)

func (c choose) Select(_ context.Context, q *core.Query) (core.Pick, error) {
	i, err := c(q)
	return core.Pick{Index: i}, err
}

func (c choose) TrySelect(ctx context.Context, q *core.Query) (core.Pick, error) {
	return c.Select(ctx, q)
}

func first(*core.Query) (int, error) { return 0, nil }

var policy = upstream.Policy{FailureThreshold: 1, CheckFailures: 1, Cooldown: 10 * time.Second, MaxCooldown: time.Minute, MaxRetryAfter: time.Hour}

// exchange is one for a model with n backends p0, p1, …, of priorities n, n-1, …
func exchange(n int, s core.Selector) *core.Exchange {
	lease := upstream.NewSet(func(upstream.Change) {}).Lease()
	m := &core.Model{Name: "m", Strategy: core.NamedSelector{Name: "mine", Selector: s}, Seq: new(atomic.Uint64)}
	for i := range n {
		p, err := lease.Provider(fmt.Sprintf("p%d", i), upstream.Identity{})
		if err != nil {
			panic(err)
		}
		m.Backends = append(m.Backends, &core.Backend{Upstream: lease.Upstream(p, "x"), Priority: int32(n - i), Weight: 1})
	}
	return &core.Exchange{Model: m, Started: at(0)}
}

// step makes the exchange's next attempt at now; it fails with the failure.
func step(t *testing.T, x *core.Exchange, now time.Time, f *core.Failure) *core.Attempt {
	t.Helper()
	a, err := Next(context.Background(), x, x.Model.Backends, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	end(a, now, f)
	return a
}

// names returns the backends' providers.
func namesOf(backends []*core.Backend) string {
	var out []string
	for _, b := range backends {
		out = append(out, b.Upstream.Provider.ID)
	}
	return strings.Join(out, " ")
}

func end(a *core.Attempt, now time.Time, f *core.Failure) {
	if f != nil && f.Answer != nil {
		a.Status = f.Answer.Status
	}
	a.Failure = f
	a.End(now, upstream.Policy{FailureThreshold: 100, Cooldown: 10 * time.Second, MaxCooldown: time.Hour, MaxRetryAfter: 24 * time.Hour})
}

func failure(status int, headers ...string) *core.Failure {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	body := `{"error":{"message":"no"}}`
	if status == http.StatusNotFound {
		body = `{"error":{"message":"the model x does not exist"}}`
	}
	return Classify(&core.Answer{Status: status, Header: h, Body: []byte(body)}, Call{Model: "x"}, at(0))
}

func TestNextOffersWhoIsAvailable(t *testing.T) {
	var offered []string
	x := exchange(3, choose(func(q *core.Query) (int, error) {
		var names []string
		for _, c := range q.Candidates {
			names = append(names, c.Provider)
		}
		offered = append(offered, strings.Join(names, " "))
		return 0, nil
	}))
	cooling := x.Model.Backends[1].Upstream
	cooling.Begin(0)
	cooling.End(at(0), upstream.Report{Began: at(0), Result: abi.ServerError}, policy)

	step(t, x, at(9), nil)
	step(t, x, at(10), nil)
	if got, want := strings.Join(offered, ", "), "p0 p2, p0 p1 p2"; got != want {
		t.Errorf("offered %q, want %q", got, want)
	}
	if _, err := Next(context.Background(), x, x.Model.Backends[2:], at(11), 0); err != nil || offered[2] != "p2" {
		t.Errorf("among p2 alone: %q, %v", offered[2], err)
	}
}

// Of two probing candidates the one that is not picked gets its slot back, and so do both when nobody is.
func TestNextGivesProbeSlotsBack(t *testing.T) {
	x := exchange(2, choose(func(q *core.Query) (int, error) {
		for _, c := range q.Candidates {
			if c.Flags != abi.CandidateProbing {
				t.Errorf("flags %d", c.Flags)
			}
		}
		return abi.None, nil
	}))
	for _, b := range x.Model.Backends {
		b.Upstream.Begin(0)
		b.Upstream.End(at(0), upstream.Report{Began: at(0), Result: abi.ServerError}, policy)
	}
	var e *apierror.Error
	if _, err := Next(context.Background(), x, x.Model.Backends, at(11), 0); !errors.As(err, &e) || e.Code != apierror.CodeNoBackend {
		t.Fatalf("%v", err)
	}
	func() {
		defer func() { _ = recover() }()
		x.Model.Strategy.Selector = choose(func(*core.Query) (int, error) { panic("a bug") })
		_, _ = Next(context.Background(), x, x.Model.Backends, at(11), 0)
	}()
	x.Model.Strategy.Selector = choose(func(*core.Query) (int, error) { return 1, nil })
	a, err := Next(context.Background(), x, x.Model.Backends, at(11), 0)
	if err != nil || a.Probe == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, ok := x.Model.Backends[0].Upstream.TryAcquire(at(11)); !ok {
		t.Error("the slot of the one that was not picked is gone")
	}
	if _, ok := x.Model.Backends[1].Upstream.TryAcquire(at(11)); ok {
		t.Error("the slot of the one that was picked is free")
	}
}

// Where only failed checks hold everybody down, those that nothing else does are offered, and the strategy is told.
func TestPanic(t *testing.T) {
	var offered []string
	x := exchange(3, choose(func(q *core.Query) (int, error) {
		for _, c := range q.Candidates {
			offered = append(offered, fmt.Sprintf("%s %d %d", c.Provider, q.Flags, c.Flags))
		}
		return 0, nil
	}))
	for _, b := range x.Model.Backends {
		Checked(b.Upstream.Provider, 500, nil, at(0), at(0), policy)
	}
	cooling, refused := x.Model.Backends[1].Upstream, x.Model.Backends[2].Upstream
	cooling.Begin(0)
	cooling.End(at(0), upstream.Report{Began: at(0), Result: abi.ServerError}, policy)
	Checked(refused.Provider, 403, nil, at(0), at(0), policy)
	step(t, x, at(1), nil)
	Checked(refused.Provider, 404, nil, at(1), at(1), policy) // it is alive
	step(t, x, at(1), nil)
	want := fmt.Sprintf("p0 %d %d, p2 0 0", abi.QueryPanic, abi.CandidateUnhealthy)
	if got := strings.Join(offered, ", "); got != want {
		t.Errorf("offered %q, want %q", got, want)
	}
}

func TestChecked(t *testing.T) {
	for _, test := range []struct {
		status int
		err    error
		want   string
	}{
		{200, nil, "healthy: "}, {302, nil, "healthy: "}, {404, nil, "healthy: "}, {429, nil, "healthy: "},
		{500, nil, "down: the health check failed: status 500"}, {529, nil, "down: the health check failed: status 529"},
		{401, nil, "refused: the provider refuses the key; next probe in 10 s"}, {403, nil, "refused: the provider refuses the key; next probe in 10 s"},
		{0, fmt.Errorf("x: %w", context.DeadlineExceeded), "down: the health check failed: no answer in time"},
		{0, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "down: the health check failed: connection refused"},
		{0, errors.New(`malformed HTTP response "sk-secret"`), "down: the health check failed: the answer is not HTTP"},
	} {
		p := exchange(1, nil).Model.Backends[0].Upstream.Provider
		Checked(p, test.status, test.err, at(0), at(0), policy)
		state, reason := p.State(at(0))
		if got := state.String() + ": " + reason; got != test.want {
			t.Errorf("%d, %v: %s, want %s", test.status, test.err, got, test.want)
		}
	}
}

func TestFaultsFallBack(t *testing.T) {
	broken := choose(func(*core.Query) (int, error) { return 0, errors.New("broken") })
	x := exchange(3, broken)
	x.Model.Fallback = core.NamedSelector{Name: "other", Selector: choose(func(*core.Query) (int, error) { return 1, nil })}
	if a := step(t, x, at(0), nil); a.PickedBy != "other" || a.Backend != x.Model.Backends[1] || len(x.Faults) != 1 || x.Faults[0].Strategy != "mine" {
		t.Errorf("%+v", a)
	}
	x = exchange(3, broken)
	x.Model.Fallback = core.NamedSelector{Name: "other", Selector: broken}
	if a := step(t, x, at(0), nil); a.PickedBy != "" || a.Backend != x.Model.Backends[2] || len(x.Faults) != 2 {
		t.Errorf("priority should have decided: %+v", a)
	}
}

func TestNoBackendSaysWhenTheSoonestReturns(t *testing.T) {
	x := exchange(2, choose(first))
	for i, b := range x.Model.Backends {
		p := policy
		p.Cooldown *= time.Duration(i + 1)
		b.Upstream.Begin(0)
		b.Upstream.End(at(0), upstream.Report{Began: at(0), Result: abi.ServerError}, p)
	}
	var e *apierror.Error
	if _, err := Next(context.Background(), x, x.Model.Backends, at(3), 0); !errors.As(err, &e) || e.Status != 503 || e.RetryAfter != 7*time.Second {
		t.Errorf("%+v", e)
	}
	if _, err := Next(context.Background(), exchange(0, choose(first)), nil, at(0), 0); !errors.As(err, &e) || e.RetryAfter != 0 {
		t.Errorf("%+v", e)
	}
}

// What follows a failure, by the rules of DESIGN §7.
func TestAfter(t *testing.T) {
	reset := &core.Failure{Result: abi.ConnectFailed, Retryable: true, Reset: true}
	refused := &core.Failure{Result: abi.ConnectFailed, Retryable: true}
	silent := &core.Failure{Result: abi.TimedOut, Retryable: true}
	html := &core.Failure{Result: abi.ServerError, Retryable: true, NoRepeat: true}
	bomb := &core.Failure{Result: abi.ConnectFailed, Retryable: true, NoRepeat: true, Reset: true, RetryAfter: time.Second}
	defaults := Rules{MaxRetries: 3, Budget: 30 * time.Second}
	quick, patient := defaults, defaults
	quick.SameBackendRetries, patient.RetryAfterWait = 1, 3*time.Second
	for name, test := range map[string]struct {
		rules    Rules
		backends int
		failures []*core.Failure
		want     string
	}{
		"500, another is left":                   {defaults, 2, []*core.Failure{failure(500)}, "p1 after 0s"},
		"500, alone":                             {defaults, 1, []*core.Failure{failure(500)}, "p0 after 0s"},
		"500 twice, alone":                       {defaults, 1, []*core.Failure{failure(500), failure(500)}, "p0 after 500ms"},
		"reset, alone":                           {defaults, 1, []*core.Failure{reset}, "p0 after 0s"},
		"connection refused, alone":              {defaults, 1, []*core.Failure{refused}, "p0 after 250ms"},
		"503, alone":                             {defaults, 1, []*core.Failure{failure(503)}, "p0 after 250ms"},
		"503 three times, alone":                 {defaults, 1, []*core.Failure{failure(503), failure(503), failure(503)}, "p0 after 1s"},
		"503 four times":                         {defaults, 1, []*core.Failure{failure(503), failure(503), failure(503), failure(503)}, "end"},
		"silence, alone":                         {defaults, 1, []*core.Failure{silent}, "end"},
		"silence, another is left":               {defaults, 2, []*core.Failure{silent}, "p1 after 0s"},
		"silence and 503, both tried":            {defaults, 2, []*core.Failure{silent, failure(503)}, "p1 after 250ms"},
		"401, alone":                             {defaults, 1, []*core.Failure{failure(401)}, "end"},
		"model not found, alone":                 {defaults, 1, []*core.Failure{failure(404)}, "end"},
		"model not found, another is left":       {defaults, 2, []*core.Failure{failure(404)}, "p1 after 0s"},
		"500 after 503, repeat of the 500":       {defaults, 2, []*core.Failure{failure(503, "Retry-After", "5"), failure(500)}, "p1 after 0s"},
		"503 twice, the one that asks for less":  {defaults, 2, []*core.Failure{failure(503, "Retry-After", "5"), failure(503, "Retry-After", "2")}, "p1 after 2s"},
		"503 twice, both are due":                {defaults, 2, []*core.Failure{failure(503), failure(503)}, "p0 p1 after 250ms"},
		"400":                                    {defaults, 2, []*core.Failure{failure(400)}, "end"},
		"408":                                    {defaults, 2, []*core.Failure{failure(408)}, "p1 after 0s"},
		"429 with Retry-After, alone":            {defaults, 1, []*core.Failure{failure(429, "Retry-After", "2")}, "p0 after 2s"},
		"429 beyond the budget, alone":           {defaults, 1, []*core.Failure{failure(429, "Retry-After", "31")}, "end"},
		"429 without Retry-After, alone":         {defaults, 1, []*core.Failure{failure(429)}, "end"}, // its cooldown is longer than the wait
		"429, another is left":                   {defaults, 2, []*core.Failure{failure(429, "Retry-After", "2")}, "p1 after 0s"},
		"429, another is left, but patient":      {patient, 2, []*core.Failure{failure(429, "Retry-After", "2")}, "p0 after 2s"},
		"429, longer than the patience":          {patient, 2, []*core.Failure{failure(429, "Retry-After", "4")}, "p1 after 0s"},
		"500, quick repeat":                      {quick, 2, []*core.Failure{failure(500)}, "p0 after 100ms"},
		"502, quick repeat":                      {quick, 2, []*core.Failure{failure(502)}, "p0 after 100ms"},
		"503, no quick repeat":                   {quick, 2, []*core.Failure{failure(503)}, "p1 after 0s"},
		"reset, quick repeat":                    {quick, 2, []*core.Failure{reset}, "p0 after 100ms"},
		"what it would do again, alone":          {defaults, 1, []*core.Failure{html}, "end"},
		"… and another is left":                  {defaults, 2, []*core.Failure{html}, "p1 after 0s"},
		"… and another has failed":               {defaults, 2, []*core.Failure{html, failure(503)}, "p1 after 250ms"},
		"… from both":                            {defaults, 2, []*core.Failure{html, html}, "end"},
		"… by a reset, quick":                    {quick, 1, []*core.Failure{bomb}, "end"},
		"… by a reset, patient":                  {patient, 2, []*core.Failure{bomb}, "p1 after 0s"},
		"no retries":                             {Rules{Budget: time.Minute}, 2, []*core.Failure{failure(500)}, "end"},
		"an error object where an answer should": {defaults, 2, []*core.Failure{ClassifyError([]byte(`{"error":{"type":"overloaded_error"}}`), nil, Call{}, at(0))}, "p1 after 0s"},
	} {
		x := exchange(test.backends, choose(first))
		for i, f := range test.failures {
			a, err := Next(context.Background(), x, x.Model.Backends[i%test.backends:][:1], at(0), 0)
			if err != nil {
				t.Fatal(err)
			}
			end(a, at(0), f)
		}
		got := "end"
		if s, ok := test.rules.After(x, at(0), 0); ok {
			got = fmt.Sprintf("%s after %v", namesOf(s.Among), s.Wait)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// The quick repeats are at the backend, not at the strategy's choice; when they are used up, the exchange moves on.
func TestQuickRepeatsEnd(t *testing.T) {
	rules := Rules{MaxRetries: 9, SameBackendRetries: 1, Budget: time.Minute}
	x := exchange(2, choose(first))
	a := step(t, x, at(0), failure(500))
	s, ok := rules.After(x, at(0), 0)
	if !ok || namesOf(s.Among) != "p0" {
		t.Fatalf("%+v, %v", s, ok)
	}
	step(t, x, at(1), failure(500))
	if s, ok = rules.After(x, at(1), 0); !ok || namesOf(s.Among) != "p1" || s.Wait != 0 {
		t.Errorf("after %+v: %+v, %v", a, s, ok)
	}
}

// A backend whose probe is under way is nobody to wait for: the ones that failed are given their time.
func TestBusyProbeIsNoCandidate(t *testing.T) {
	x := exchange(2, choose(first))
	probing := x.Model.Backends[1].Upstream
	probing.Begin(0)
	probing.End(at(-20), upstream.Report{Began: at(-20), Result: abi.ServerError}, policy)
	if _, ok := probing.TryAcquire(at(0)); !ok {
		t.Fatal("no probe")
	}
	a, err := Next(context.Background(), x, x.Model.Backends, at(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	end(a, at(0), failure(503, "Retry-After", "5"))
	s, ok := Rules{MaxRetries: 3, Budget: time.Minute}.After(x, at(0), 0)
	if !ok || namesOf(s.Among) != "p0" || s.Wait != 5*time.Second {
		t.Errorf("%s after %v, %v", namesOf(s.Among), s.Wait, ok)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "2", 2 * time.Second}, {"Retry-After", "1.5", 1500 * time.Millisecond}, {"Retry-After", "-1", 0}, {"Retry-After", "soon", 0},
		{"Retry-After", "NaN", 0}, {"Retry-After", "1e300", 365 * 24 * time.Hour}, {"Retry-After-Ms", "250", 250 * time.Millisecond},
		{"Retry-After", at(90).UTC().Format(http.TimeFormat), 90 * time.Second}, {"Retry-After", at(-90).UTC().Format(http.TimeFormat), 0}, {"X-Other", "1", 0},
	} {
		if got, _ := RetryAfter(http.Header{test.name: {test.value}}, at(0)); got != test.want {
			t.Errorf("%s: %s is %v, want %v", test.name, test.value, got, test.want)
		}
	}
}

// Nothing begins, and nothing is waited for, that would be too late.
func TestDeadline(t *testing.T) {
	r := Rules{MaxRetries: 9, Budget: time.Minute}
	for name, test := range map[string]struct {
		backends int
		now      float64
		ok       bool
	}{
		"time for another":    {2, 0.9, true},
		"too late":            {2, 1, false},
		"time for a wait":     {1, 0.7, true},
		"no time for a wait":  {1, 0.8, false},
		"of no time for that": {1, 2, false},
	} {
		x := exchange(test.backends, choose(first))
		x.Deadline = at(1)
		step(t, x, at(0), failure(503))
		if s, ok := r.After(x, at(test.now), 0); ok != test.ok {
			t.Errorf("%s: %v, %v", name, s.Wait, ok)
		}
	}
}

// A provider never has more attempts than it may, however many ask at once; who finds none is told.
func TestMaxInFlight(t *testing.T) {
	const limit, clients = 3, 40
	x := exchange(2, choose(func(q *core.Query) (int, error) { return int(q.Seq) % len(q.Candidates), nil }))
	for _, b := range x.Model.Backends {
		b.MaxInFlight = limit
	}
	var begun, refused atomic.Int64
	var all sync.WaitGroup
	for seq := range uint64(clients) {
		all.Go(func() {
			own := &core.Exchange{Model: x.Model, Started: at(0), Seq: seq}
			var e *apierror.Error
			switch _, err := Next(context.Background(), own, x.Model.Backends, at(0), 0); {
			case err == nil:
				begun.Add(1)
			case errors.As(err, &e) && e.Code == apierror.CodeNoBackend && e.RetryAfter > 0:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if b, r := begun.Load(), refused.Load(); b != 2*limit || r != clients-2*limit {
		t.Errorf("%d begun, %d refused", b, r)
	}
	for _, b := range x.Model.Backends {
		if n := b.Upstream.Provider.InFlight(); n != limit {
			t.Errorf("%s has %d", b.Upstream.Provider.ID, n)
		}
	}
}
