// Package metrics is the stage that counts: it is told of every exchange when its answer has ended, refused ones too, and
// records latency and success per model, per backend, per user, per stage and per strategy. These are families of their own
// rather than one product of labels, and labels come from the config, never from a request, so that their number is bounded.
//
// core/telemetry/README.md lists what is recorded.
package metrics

import (
	"context"
	"log/slog"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/telemetry/names"
	"github.com/berrygate/berry/sdk/abi"
)

// unknown is the label of exchanges that named no model or no user that the config knows.
const unknown = "(unknown)"

// byPriority is the label of picks that no strategy made.
const byPriority = "(priority)"

// Plugin is the stage "metrics".
type Plugin struct {
	*instruments
	models, users family
	backends      labels[part]
	calls         labels[call]
	pairs         labels[pair]
	log           *slog.Logger
}

var (
	_ core.Plugin   = (*Plugin)(nil)
	_ core.Observer = (*Plugin)(nil)
)

// New returns the stage, which records with the meter. It fails if the meter refuses an instrument.
func New(m metric.Meter, log *slog.Logger) (*Plugin, error) {
	i, err := newInstruments(m)
	if err != nil {
		return nil, err
	}
	return &Plugin{
		instruments: i, log: log,
		models: family{label: names.Model, requests: i.modelRequests, duration: i.modelDuration},
		users:  family{label: names.User, requests: i.userRequests, duration: i.userDuration},
	}, nil
}

// Handle does nothing: there is nothing to count until the answer has ended.
func (p *Plugin) Handle(context.Context, *core.Exchange) error { return nil }

// Observe records the exchange, its stages and each of its attempts. Only latencies get ctx, and with it exemplars that link to the
// trace: nobody looks for those of the others, and they cost as much as all the rest.
func (p *Plugin) Observe(ctx context.Context, x *core.Exchange) {
	none := context.Background()
	model, user := unknown, unknown
	if x.Model != nil {
		model = x.Model.Name
	}
	if x.User != nil {
		user = x.User.ID
	}
	if x.Operation.Path != "" { // the list of models is no model's traffic
		p.models.record(ctx, x, model)
	}
	p.users.record(ctx, x, user)
	for _, s := range x.Stages {
		outcome := "ok"
		if s.Failed {
			outcome = "failed"
		}
		p.stages.Record(none, s.Took.Seconds(), p.pairs.of(pair{names.Stage, s.Name, names.LabelOutcome, outcome}, describePair).record...)
	}
	for _, a := range x.Attempts {
		p.attempt(ctx, x, a)
		p.pick(none, a)
	}
	for _, f := range x.Faults {
		p.faults.Add(none, 1, p.pairs.of(pair{names.Strategy, f.Strategy, names.LabelReason, f.Reason()}, describePair).add...)
		p.log.LogAttrs(ctx, slog.LevelWarn, "strategy faulted", slog.String("strategy", f.Strategy), slog.Any("error", f.Err), slog.String("request_id", x.ID))
	}
}

// A family is what is counted of exchanges under one label.
type family struct {
	label    string
	requests metric.Int64Counter
	duration metric.Float64Histogram
	labels   labels[result]
}

// A result is what exchanges are told apart by within a family.
type result struct {
	value, outcome string
	status         int // 0 is any
}

func (f *family) record(ctx context.Context, x *core.Exchange, value string) {
	r := result{value, x.Outcome.Name(), x.Outcome.Status}
	f.requests.Add(context.Background(), 1, f.labels.of(r, f.describe).add...)
	r.status = 0
	f.duration.Record(ctx, x.Outcome.Duration.Seconds(), f.labels.of(r, f.describe).record...)
}

func (f *family) describe(r result) []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String(f.label, r.value), attribute.String(names.LabelOutcome, r.outcome)}
	if r.status != 0 {
		kvs = append(kvs, attribute.String(names.LabelStatus, strconv.Itoa(r.status)))
	}
	return kvs
}

// A pair is two labels. The second one's name may be "": then there is none.
type pair struct{ label, value, label2, value2 string }

func describePair(p pair) []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String(p.label, p.value)}
	if p.label2 != "" {
		kvs = append(kvs, attribute.String(p.label2, p.value2))
	}
	return kvs
}

// A part is what is counted of a backend under one more label; "" is none.
type part struct{ provider, model, label, value string }

func describePart(p part) []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String(names.Provider, p.provider), attribute.String(names.ProviderModel, p.model)}
	if p.label != "" {
		kvs = append(kvs, attribute.String(p.label, p.value))
	}
	return kvs
}

// A call is what the GenAI conventions tell calls of models apart by.
type call struct {
	operation, system, provider, model string
	failure, token                     string // "" if there was none, and if it is not about tokens
}

func describeCall(c call) []attribute.KeyValue {
	kvs := []attribute.KeyValue{
		names.Operation.String(c.operation), names.GenAIProvider.String(c.system), names.RequestModel.String(c.model),
		attribute.String(names.Provider, c.provider),
	}
	if c.failure != "" {
		kvs = append(kvs, names.ErrorType.String(c.failure))
	}
	if c.token != "" {
		kvs = append(kvs, names.TokenType.String(c.token))
	}
	return kvs
}

func (p *Plugin) attempt(ctx context.Context, x *core.Exchange, a *core.Attempt) {
	none, u := context.Background(), a.Backend.Upstream
	of := part{provider: u.Provider.ID, model: u.Model, label: names.LabelResult, value: a.Result().String()}
	p.attempts.Add(none, 1, p.backends.of(of, describePart).add...)
	if a.Dropped > 0 {
		p.dropped.Add(none, int64(a.Dropped), p.backends.of(part{provider: u.Provider.ID, model: u.Model}, describePart).add...)
	}
	c := call{operation: x.Operation.Name, system: a.Backend.System, provider: u.Provider.ID, model: u.Model}
	well := p.calls.of(c, describeCall)
	took, ttft := a.Ended.Sub(a.Began), a.TTFT()
	if a.Result() == abi.OK {
		p.duration.Record(ctx, took.Seconds(), well.record...)
	} else {
		failed := c
		failed.failure = a.Result().String()
		p.duration.Record(ctx, took.Seconds(), p.calls.of(failed, describeCall).record...)
	}
	if a.Stream && ttft > 0 {
		p.firstChunk.Record(ctx, ttft.Seconds(), well.record...)
	}
	if n := a.Usage.OutputTokens; ttft > 0 && n > 1 && a.Result() == abi.OK {
		p.perToken.Record(none, (took-ttft).Seconds()/float64(n-1), well.record...)
	}
	if a.Usage != (core.Usage{}) && a.Failure == nil { // what a failed attempt used is no completion's
		if cost := a.Cost(); cost > 0 {
			p.cost.Add(none, cost, p.backends.of(part{provider: u.Provider.ID, model: u.Model}, describePart).add...)
		}
		c.token = "input"
		p.tokens.Record(none, int64(a.Usage.InputTokens), p.calls.of(c, describeCall).record...)
		c.token = "output"
		p.tokens.Record(none, int64(a.Usage.OutputTokens), p.calls.of(c, describeCall).record...)
	}
}

// pick records who chose the attempt's backend, and what that took.
func (p *Plugin) pick(ctx context.Context, a *core.Attempt) {
	by := a.PickedBy
	if by == "" {
		by = byPriority
	}
	p.fuel.Record(ctx, a.Fuel, p.pairs.of(pair{label: names.Strategy, value: by}, describePair).record...)
	if s := a.Shadow; s.By != "" {
		p.shadows.Add(ctx, 1, p.pairs.of(pair{names.Shadow, s.By, names.LabelResult, s.Result}, describePair).add...)
	}
}
