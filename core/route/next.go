// Package route decides where an exchange goes: who is a candidate now, what is retryable, when. Its functions know the
// time and randomness only from their callers, so that a simulator runs the same code on a clock of its own.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// errNone is why an exchange ends whose strategy wants none of the candidates.
var errNone = errors.New("route: the strategy wants none of the candidates")

// Next begins the exchange's next attempt: at now it asks the model's strategy to pick among the candidates, with random
// as the query's random number. The caller must End the attempt. It fails with a no_backend_available error if there is
// no candidate or the strategy wants none.
func Next(ctx context.Context, x *core.Exchange, now time.Time, random uint64) (*core.Attempt, error) {
	offers := candidates(x, now)
	if len(offers) == 0 {
		return nil, noBackend(x, now)
	}
	q := query(x, offers, now, random)
	index, by, fault := pick(ctx, x.Model, q)
	for i, o := range offers {
		if o.probing && i != index {
			o.backend.Upstream.Withdraw()
		}
	}
	if index == abi.None {
		e := noBackend(x, now)
		e.Cause = fmt.Errorf("%w: %s", errNone, by)
		return nil, e
	}
	chosen := offers[index]
	a := begin(x, chosen.backend, chosen.probing, now)
	a.PickedBy, a.Fault = by, fault
	return a, nil
}

// Repeat begins another attempt of the exchange at b without asking the strategy. It returns nil if b's upstream is to be
// left alone at now.
func Repeat(x *core.Exchange, b *core.Backend, now time.Time) *core.Attempt {
	v, ok := b.Upstream.Offer(now)
	if !ok {
		return nil
	}
	return begin(x, b, v.Status == upstream.Probing, now)
}

func begin(x *core.Exchange, b *core.Backend, probe bool, now time.Time) *core.Attempt {
	b.Upstream.Begin()
	a := &core.Attempt{Backend: b, Number: len(x.Attempts), Probe: probe, Began: now}
	x.Attempts = append(x.Attempts, a)
	return a
}

// An offer is a backend that may be picked, with what its upstream looked like when it was offered.
type offer struct {
	backend *core.Backend
	view    upstream.View
	probing bool
}

// candidates returns the model's untried backends that may be picked at now or, when each has been tried, those that may
// be tried again. A probing one among them holds its probe slot.
func candidates(x *core.Exchange, now time.Time) []offer {
	offers := make([]offer, 0, len(x.Model.Backends))
	add := func(wanted func(*core.Backend) bool) {
		for _, b := range x.Model.Backends {
			if !wanted(b) {
				continue
			}
			if v, ok := b.Upstream.Offer(now); ok {
				offers = append(offers, offer{b, v, v.Status == upstream.Probing})
			}
		}
	}
	add(func(b *core.Backend) bool { return lastOf(x, b) == nil })
	if len(offers) == 0 && len(x.Attempts) > 0 {
		add(func(b *core.Backend) bool { return repeatable(lastOf(x, b)) })
	}
	return offers
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

func query(x *core.Exchange, offers []offer, now time.Time, random uint64) *core.Query {
	q := &core.Query{
		Attempt: uint32(len(x.Attempts)), Seq: x.Seq, Random: random, Now: now.UnixNano(),
		Affinity: x.Affinity, Prefix: x.Body.Prefix(), PromptTokens: uint32(len(x.Body.Bytes) / 4), MaxTokens: x.Body.MaxTokens,
		Model: x.Model.Name, User: x.UserID(), Candidates: make([]abi.Candidate, len(offers)),
	}
	if x.User != nil {
		q.UserTags = x.User.Tags
	}
	if x.Body.Stream {
		q.Flags |= abi.QueryStream
	}
	for i := range offers {
		q.Candidates[i] = offers[i].candidate()
	}
	return q
}

func (o *offer) candidate() abi.Candidate {
	b, v := o.backend, &o.view
	c := abi.Candidate{
		ID: b.Upstream.ID, Weight: b.Weight, Priority: b.Priority, InFlight: uint32(max(v.InFlight, 0)), Samples: v.Averages.Samples,
		LatencyMS: v.Averages.LatencyMS, TTFTMS: v.Averages.TTFTMS, Success: v.Averages.Success(),
		CostInput: b.CostInput, CostOutput: b.CostOutput, Failures: uint32(v.Failures),
		Provider: b.Upstream.Provider.ID, ProviderModel: b.Upstream.Model, Tags: b.Tags,
	}
	if !v.LastFailure.IsZero() {
		c.LastFailure = v.LastFailure.UnixNano()
	}
	if o.probing {
		c.Flags |= abi.CandidateProbing
	}
	return c
}

// pick asks the model's strategy and, if that faults, its fallback; if that faults too, priority decides. It returns the
// index or abi.None, the name of who picked, and the faults.
func pick(ctx context.Context, m *core.Model, q *core.Query) (index int, by string, fault error) {
	for _, p := range []core.Picker{m.Strategy, m.Fallback} {
		if p.Selector == nil {
			continue
		}
		i, err := p.Selector.Select(ctx, q)
		if err == nil {
			return i, p.Name, fault
		}
		fault = errors.Join(fault, err)
	}
	for i, c := range q.Candidates {
		if c.Priority < q.Candidates[index].Priority {
			index = i
		}
	}
	return index, "", fault
}

// noBackend says that nobody can answer, and when the soonest may.
func noBackend(x *core.Exchange, now time.Time) *core.Error {
	e := &core.Error{
		Status: http.StatusServiceUnavailable, Type: core.TypeServer, Code: core.CodeNoBackend, Param: "model",
		Message: fmt.Sprintf("No backend can serve the model %q now; try again later.", x.Model.Name),
	}
	for _, b := range x.Model.Backends {
		var wait time.Duration
		switch v := b.Upstream.View(now); v.Status {
		case upstream.Refused:
			continue
		case upstream.Cooling:
			wait = v.Until.Sub(now)
		default: // healthy but tried, or its probe is under way
			wait = time.Second
		}
		if e.RetryAfter == 0 || wait < e.RetryAfter {
			e.RetryAfter = wait
		}
	}
	return e
}
