package route

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/sdk/abi"
)

// decide lets the model's strategy pick and, if that faults, its fallback; if that faults, too, the first candidate by priority. Then the
// shadow picks, and the decision is recorded in the decision log and the trace. Faults are recorded in the exchange; a client that
// disconnects meanwhile is no fault.
func decide(ctx context.Context, x *core.Exchange, q *core.Query, now time.Time) *core.Decision {
	d := &core.Decision{At: now, Exchange: x.ID, Query: q, Chosen: abi.None}
	pick(ctx, x, d)
	shadow(x, d)
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		d.TraceID = c.TraceID().String()
	}
	if x.DecisionLog != nil {
		x.DecisionLog.Record(d)
	}
	if span := x.Trace.Current(); span != nil {
		span.SetLazy(lazyAttributes{x.Model.Strategy.Name, d})
	}
	return d
}

// pick sets who chose what.
func pick(ctx context.Context, x *core.Exchange, d *core.Decision) {
	for _, p := range [...]core.NamedSelector{x.Model.Strategy, x.Model.Fallback} {
		if p.Selector == nil {
			continue
		}
		chosen, err := p.Selector.Select(ctx, d.Query)
		if err == nil {
			d.Chosen, d.By, d.SHA256, d.Fuel = chosen.Index, p.Name, p.SHA256, chosen.Fuel
			return
		}
		if ctx.Err() == nil && !errors.Is(err, core.ErrUnavailable) {
			d.Faults = append(d.Faults, core.Fault{Strategy: p.Name, Err: err})
		}
	}
	d.Chosen = 0
	for i, c := range d.Query.Candidates {
		if c.Priority < d.Query.Candidates[d.Chosen].Priority {
			d.Chosen = i
		}
	}
}

// shadow lets the model's shadow strategy pick, if an instance is free. The result has no effect but in the decision log and the trace.
func shadow(x *core.Exchange, d *core.Decision) {
	p := x.Model.Shadow
	if p.Selector == nil {
		return
	}
	chosen, err := p.Selector.TrySelect(context.Background(), d.Query)
	d.Shadow = core.ShadowPick{By: p.Name, Chosen: chosen.Index, Result: core.ShadowDiffers}
	switch {
	case errors.Is(err, core.ErrUnavailable):
		d.Shadow.Chosen, d.Shadow.Result = abi.None, core.ShadowBusy
	case err != nil:
		d.Shadow.Chosen, d.Shadow.Result = abi.None, core.ShadowFaulted
	case chosen.Index == d.Chosen:
		d.Shadow.Result = core.ShadowAgrees
	}
}

// shownCandidates limits the candidates that a span describes.
const shownCandidates = 32

// A lazyAttributes describes a decision in a span. strategy is the one that should have made it.
type lazyAttributes struct {
	strategy string
	*core.Decision
}

// AddTo sets the attributes.
func (d lazyAttributes) AddTo(span *spans.Span) {
	q := d.Query
	span.Set(attribute.String(semconv.Strategy, d.strategy),
		attribute.String(semconv.Candidates, describe(q.Candidates[:min(len(q.Candidates), shownCandidates)])),
		attribute.String(semconv.Chosen, nameOf(q, d.Chosen)))
	if len(q.Candidates) > shownCandidates {
		span.Set(attribute.Int(semconv.CandidateCount, len(q.Candidates)))
	}
	if d.By != d.strategy {
		span.Set(attribute.String(semconv.PickedBy, d.By))
	}
	if d.By != "" {
		span.Set(attribute.String(semconv.StrategySHA256, d.SHA256), attribute.Int(semconv.StrategyABI, abi.Version), attribute.Int64(semconv.StrategyFuel, d.Fuel))
	}
	if q.Flags&abi.QueryPanic != 0 {
		span.Set(attribute.Bool(semconv.Panic, true))
	}
	if d.Shadow.By != "" {
		span.Set(attribute.String(semconv.Shadow, d.Shadow.By), attribute.String(semconv.ShadowChosen, nameOf(q, d.Shadow.Chosen)),
			attribute.Bool(semconv.ShadowAgrees, d.Shadow.Result == core.ShadowAgrees))
	}
	const longest = 1000
	for _, f := range d.Faults {
		span.Event(semconv.EventStrategyFault, d.At, attribute.String(semconv.Strategy, f.Strategy),
			attribute.String(semconv.FaultReason, f.Reason()), semconv.ExceptionMessage.String(core.ClipTo(f.Err.Error(), longest)))
	}
}

// nameOf returns the candidate's name; "" for none.
func nameOf(q *core.Query, index int) string {
	if index == abi.None {
		return ""
	}
	return q.Candidates[index].Provider + "/" + q.Candidates[index].ProviderModel
}

// describe returns the candidates as a JSON list, which Jaeger shows as a table. It is one string, since attributes cost by their number.
func describe(candidates []abi.Candidate) string {
	var room [2048]byte // enough for sixteen or so
	b := append(room[:0], '[')
	for i := range candidates {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCandidate(b, &candidates[i])
	}
	return string(append(b, ']'))
}

func appendCandidate(b []byte, c *abi.Candidate) []byte {
	number := func(name string, v float64) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		if n := int64(v); float64(n) == v { // most are, and these are written quickly
			b = strconv.AppendInt(b, n, 10)
		} else {
			b = strconv.AppendFloat(b, v, 'g', 4, 64)
		}
	}
	known := func(name string, v float64) {
		if v != 0 {
			number(name, v)
		}
	}
	b = append(b, `{"backend":`...)
	b = strconv.AppendQuote(b, c.Provider+"/"+c.ProviderModel)
	number("weight", c.Weight)
	known("priority", float64(c.Priority))
	number("in_flight", float64(c.InFlight))
	known("latency_ms", c.LatencyMS)
	known("ttft_ms", c.TTFTMS)
	known("streamed_ms", c.Streamed.MS)
	known("plain_ms", c.Plain.MS)
	number("success", c.Success)
	known("samples", float64(c.Samples))
	known("failures", float64(c.Failures))
	known("misses", float64(c.Streamed.Misses)+float64(c.Plain.Misses))
	known("cost_input", c.CostInput)
	known("cost_output", c.CostOutput)
	if c.Tags != "" {
		b = strconv.AppendQuote(append(b, `,"tags":`...), c.Tags)
	}
	known("probing", float64(c.Flags&abi.CandidateProbing))
	known("unhealthy", float64(c.Flags&abi.CandidateUnhealthy))
	return append(b, '}')
}
