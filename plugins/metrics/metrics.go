// Package metrics is the stage that records metrics: it observes every exchange when it has ended, rejected ones too, and records latency
// and success per model, backend, user, stage and strategy. These are separate families, not one product of labels, and label values come
// from the config, never from a request, so that their number is bounded.
package metrics

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/sdk/abi"
)

// unknown is the label of exchanges without a model or user of the config.
const unknown = "(unknown)"

// byPriority is the label of picks by priority, without a strategy.
const byPriority = "(priority)"

// Plugin is the stage "metrics".
type Plugin struct {
	*Instruments
	models, users family
	stages        remembered[stage, labelSet]
	calls         remembered[call, callLabels]
	pickers       remembered[string, labelSet]
	pairs         remembered[pair, labelSet]
	log           *slog.Logger
}

var (
	_ core.Plugin   = (*Plugin)(nil)
	_ core.Observer = (*Plugin)(nil)
)

// New returns the stage. It records with the instruments.
func New(i *Instruments, log *slog.Logger) *Plugin {
	return &Plugin{
		Instruments: i, log: log,
		models: family{label: semconv.Model, requests: &i.modelRequests, duration: i.modelDuration},
		users:  family{label: semconv.User, requests: &i.userRequests, duration: i.userDuration},
	}
}

// Handle does nothing: the exchange has not ended.
func (p *Plugin) Handle(context.Context, *core.Exchange) error { return nil }

// Observe records the exchange, its stages and its attempts. Only latencies have exemplars, which link to the trace: nobody looks for
// others, and they cost as much as all the rest.
func (p *Plugin) Observe(ctx context.Context, x *core.Exchange) {
	none := context.Background()
	if x.Trace == nil {
		ctx = none // nothing to link to: saves each instrument the lookup
	}
	model, user := unknown, unknown
	if x.Model != nil {
		model = x.Model.Name
	}
	if x.User != nil {
		user = x.User.ID
	}
	if x.Operation.Path != "" { // the list of models is not traffic of a model
		p.models.record(ctx, x, model)
	}
	p.users.record(ctx, x, user)
	for _, s := range x.Stages {
		p.stageDuration.Record(none, s.Took.Seconds(), p.stages.of(stage{s.Name, s.Failed}, stage.labels).record...)
	}
	for _, a := range x.Attempts {
		p.attempt(ctx, x, a)
		p.pick(none, a)
	}
	for _, f := range x.Faults {
		p.faults.Add(none, 1, p.pairs.of(pair{semconv.Strategy, f.Strategy, semconv.LabelReason, f.Reason()}, pair.labels).add...)
		p.log.LogAttrs(ctx, slog.LevelWarn, "strategy faulted", slog.String("strategy", f.Strategy), slog.Any("error", f.Err), slog.String("request_id", x.ID))
	}
}

// A family is a set of metrics of exchanges under one label.
type family struct {
	label    string
	requests *counter
	duration metric.Float64Histogram
	results  remembered[result, resultLabels]
}

func (f *family) record(ctx context.Context, x *core.Exchange, value string) {
	l := f.results.of(result{value, x.Outcome.Name(), statusOf(x.Outcome.Status)}, f.labels)
	l.count.Add(1)
	f.duration.Record(ctx, x.Outcome.Duration.Seconds(), l.timed.record...)
}

func (p *Plugin) attempt(ctx context.Context, x *core.Exchange, a *core.Attempt) {
	none := context.Background()
	l := p.calls.of(call{x.Operation.Name, a.Backend, a.Result()}, p.labels)
	took, ttft := a.Ended.Sub(a.Began), a.TTFT()
	l.attempts.Add(1)
	p.duration.Record(ctx, took.Seconds(), l.duration.record...)
	if a.Dropped > 0 {
		p.dropped.Add(none, int64(a.Dropped), l.backend.add...)
	}
	if a.Stream && ttft > 0 {
		p.firstChunk.Record(ctx, ttft.Seconds(), l.well.record...)
	}
	if n := a.Usage.OutputTokens; ttft > 0 && n > 1 && a.Result() == abi.OK {
		p.perToken.Record(none, (took-ttft).Seconds()/float64(n-1), l.well.record...)
	}
	if a.Usage != (api.Usage{}) { // providers bill broken responses, too
		if cost := a.Cost(); cost > 0 {
			p.cost.Add(none, cost, l.backend.add...)
		}
		p.tokens.Record(none, int64(a.Usage.InputTokens), l.input.record...)
		p.tokens.Record(none, int64(a.Usage.OutputTokens), l.output.record...)
	}
}

// pick records the strategy that chose the attempt's backend, and the cost of the pick.
func (p *Plugin) pick(ctx context.Context, a *core.Attempt) {
	by := a.PickedBy
	if by == "" {
		by = byPriority
	}
	p.fuel.Record(ctx, a.Fuel, p.pickers.of(by, picker).record...)
	if s := a.Shadow; s.By != "" {
		p.shadows.Add(ctx, 1, p.pairs.of(pair{semconv.Shadow, s.By, semconv.LabelResult, s.Result}, pair.labels).add...)
	}
}
