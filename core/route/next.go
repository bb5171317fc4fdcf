// Package route makes the routing decisions: the candidates, the retries and their delays. Its functions receive the time and random numbers
// from their callers, so that a simulation runs the same code with a clock of its own.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// ErrNone reports that the strategy chose none of the candidates.
var ErrNone = errors.New("route: the strategy wants none of the candidates")

// Next begins the exchange's next attempt at now: the model's strategy picks among the available ones of these backends, with random as the
// query's random number. The caller must End the attempt. It fails with a no_backend_available error if none is available, or the strategy
// wants none; the latter wraps ErrNone. It fails with an unsupported_endpoint error if no backend's type serves the call.
func Next(ctx context.Context, x *core.Exchange, among []*core.Backend, now time.Time, random uint64) (*core.Attempt, error) {
	if among = serving(x, among); len(among) == 0 && len(serving(x, x.Model.Backends)) == 0 && len(x.Model.Backends) > 0 {
		return nil, apierror.Invalid(http.StatusBadRequest, apierror.CodeNotServed, "model",
			"The model %q has no backend that serves %s; ask another model.", x.Model.Name, x.Operation.Path)
	}
	for {
		if a, err := next(ctx, x, among, now, random); a != nil || err != nil {
			return a, err
		}
	}
}

// next is Next, but returns nil if other exchanges have filled the chosen backend's provider meanwhile.
func next(ctx context.Context, x *core.Exchange, among []*core.Backend, now time.Time, random uint64) (*core.Attempt, error) {
	offers, panicking := candidates(among, x.Source(), now)
	if len(offers) == 0 {
		return nil, noBackend(x, now)
	}
	begun := abi.None
	defer func() { // whatever happens to the pick, the probe slots of all others are free again
		for i, o := range offers {
			if i != begun {
				o.backend.Upstream.Release(o.view.Probe)
			}
		}
	}()
	d := decide(ctx, x, query(x, offers, panicking, now, random), now)
	x.Faults = append(x.Faults, d.Faults...)
	if d.Chosen == abi.None {
		e := noBackend(x, now)
		e.Cause = fmt.Errorf("%w: %s", ErrNone, d.By)
		return nil, e
	}
	chosen := offers[d.Chosen]
	if !chosen.backend.Upstream.Begin(chosen.backend.MaxInFlight) {
		return nil, nil
	}
	begun = d.Chosen
	a := &core.Attempt{
		Backend: chosen.backend, Number: len(x.Attempts), PickedBy: d.By, Fuel: d.Fuel, Shadow: d.Shadow,
		Probe: chosen.view.Probe, Source: x.Source(), Began: now, Streamed: x.Body.Stream,
	}
	x.Attempts = append(x.Attempts, a)
	return a, nil
}

// serving returns those of the backends that serve the exchange's call: mostly all.
func serving(x *core.Exchange, among []*core.Backend) []*core.Backend {
	serves := func(b *core.Backend) bool { return b.Answers(x.Operation) }
	for i, b := range among {
		if serves(b) {
			continue
		}
		out := slices.Clone(among[:i])
		for _, b := range among[i:] {
			if serves(b) {
				out = append(out, b)
			}
		}
		return out
	}
	return among
}

// An offer is a backend that may be chosen, with its upstream's state at the time.
type offer struct {
	backend *core.Backend
	view    upstream.View
}

// candidates returns those of the backends that are available at now and whose providers have a free slot, without those that are out of
// rotation for this source, if others remain. If there are none, it is in panic mode: it returns those that only failed health checks, which
// may be wrong. A probing one among them holds its probe slot.
func candidates(among []*core.Backend, source upstream.Source, now time.Time) (offers []offer, panicking bool) {
	for _, panicking = range [...]bool{false, true} {
		var avoided []*core.Backend
		offers = make([]offer, 0, len(among))
		for _, b := range among {
			if b.Upstream.Avoids(source, now) {
				avoided = append(avoided, b)
			} else {
				offers = offered(offers, b, now, panicking)
			}
		}
		if len(offers) == 0 {
			for _, b := range avoided {
				offers = offered(offers, b, now, panicking)
			}
		}
		if len(offers) > 0 {
			return offers, panicking
		}
	}
	return nil, true
}

// offered adds the backend to the offers, if it may be chosen.
func offered(offers []offer, b *core.Backend, now time.Time, panicking bool) []offer {
	if b.Full() {
		return offers
	}
	try := b.Upstream.TryAcquire
	if panicking {
		try = b.Upstream.OfferDown
	}
	if v, ok := try(now); ok {
		offers = append(offers, offer{b, v})
	}
	return offers
}

func query(x *core.Exchange, offers []offer, panicking bool, now time.Time, random uint64) *core.Query {
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
	if panicking {
		q.Flags |= abi.QueryPanic
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
		Streamed: v.Averages.Streamed, Plain: v.Averages.Plain,
	}
	if !v.LastFailure.IsZero() {
		c.LastFailure = v.LastFailure.UnixNano()
	}
	if v.Probing {
		c.Flags |= abi.CandidateProbing
	}
	if v.Status == upstream.Down {
		c.Flags |= abi.CandidateUnhealthy
	}
	return c
}

// noBackend returns the error that no backend is available, with the time when the first one will be.
func noBackend(x *core.Exchange, now time.Time) *apierror.Error {
	e := &apierror.Error{
		Status: http.StatusServiceUnavailable, Type: apierror.TypeServer, Code: apierror.CodeNoBackend, Param: "model",
		Message: fmt.Sprintf("No backend can serve the model %q now; try again later.", x.Model.Name),
	}
	for _, b := range serving(x, x.Model.Backends) {
		var wait time.Duration
		switch v := b.Upstream.View(now); v.Status {
		case upstream.Refused, upstream.Cooling:
			wait = v.Until.Sub(now)
		default: // healthy but tried, or its probe is under way, or its provider has all that it may have
			wait = time.Second
		}
		if e.RetryAfter == 0 || wait < e.RetryAfter {
			e.RetryAfter = wait
		}
	}
	return e
}
