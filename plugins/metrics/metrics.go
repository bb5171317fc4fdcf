// Package metrics is the stage that counts: it is told of every exchange when its answer has ended, refused ones too, and
// records latency and success per model, per backend and per user. These are families of their own rather than one product
// of labels, and labels come from the config, never from a request, so that their number is bounded.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core"
)

// unknown is the label of exchanges that named no model or no user that the config knows.
const unknown = "(unknown)"

// Plugin is the stage "metrics".
type Plugin struct {
	models, users         family
	backends              labels[part]
	attempts              metric.Int64Counter
	attemptTime, ttft     metric.Float64Histogram
	tokens                metric.Int64Counter
	cost                  metric.Float64Counter
	faults, droppedEvents metric.Int64Counter
	log                   *slog.Logger
}

var (
	_ core.Plugin   = (*Plugin)(nil)
	_ core.Observer = (*Plugin)(nil)
)

// A family is what is counted of exchanges under one label.
type family struct {
	label    string
	requests metric.Int64Counter
	duration metric.Float64Histogram
	labels   labels[result]
}

// New returns the stage, which records with the meter. It fails if the meter refuses an instrument.
func New(m metric.Meter, log *slog.Logger) (*Plugin, error) {
	var errs []error
	counter := func(name, help string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(help))
		errs = append(errs, err)
		return c
	}
	seconds := func(name, help string) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithDescription(help), metric.WithUnit("s"),
			// The buckets that the GenAI conventions advise for operation durations.
			metric.WithExplicitBucketBoundaries(.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92))
		errs = append(errs, err)
		return h
	}
	cost, err := m.Float64Counter("berry.backend.cost", metric.WithDescription("What whole answers have cost by cost_input and cost_output, by backend."))
	errs = append(errs, err)
	p := &Plugin{
		cost: cost,
		models: family{label: "berry.model", requests: counter("berry.model.requests", "Requests by model, status and outcome."),
			duration: seconds("berry.model.duration", "Time from a request to the end of its answer, by model and outcome.")},
		users: family{label: "berry.user", requests: counter("berry.user.requests", "Requests by user, status and outcome."),
			duration: seconds("berry.user.duration", "Time from a request to the end of its answer, by user and outcome.")},
		attempts:      counter("berry.backend.attempts", "Attempts by backend and result."),
		attemptTime:   seconds("berry.backend.duration", "Time from an attempt's start to its end, by backend and result."),
		ttft:          seconds("berry.backend.first_token", "Time from a streamed attempt's start to its first event, by backend."),
		tokens:        counter("berry.backend.tokens", "Tokens of whole answers, as providers reported them, by backend and direction."),
		faults:        counter("berry.strategy.faults", "Picks that a strategy owed and failed to make, by strategy and reason."),
		droppedEvents: counter("berry.backend.dropped_events", "Malformed events that were taken out of streams, by backend."),
		log:           log,
	}
	return p, errors.Join(errs...)
}

// Handle does nothing: there is nothing to count until the answer has ended.
func (p *Plugin) Handle(context.Context, *core.Exchange) error { return nil }

// Observe records the exchange and each of its attempts.
func (p *Plugin) Observe(ctx context.Context, x *core.Exchange) {
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
	for _, a := range x.Attempts {
		p.attempt(ctx, a)
	}
	for _, f := range x.Faults {
		p.faults.Add(ctx, 1, metric.WithAttributes(attribute.String("berry.strategy", f.Strategy), attribute.String("reason", f.Reason())))
		p.log.LogAttrs(ctx, slog.LevelWarn, "strategy faulted", slog.String("strategy", f.Strategy), slog.Any("error", f.Err), slog.String("request_id", x.ID))
	}
}

// A result is what exchanges are told apart by within a family.
type result struct {
	value, outcome string
	status         int // 0 is any
}

func (f *family) record(ctx context.Context, x *core.Exchange, value string) {
	r := result{value, x.Outcome.Name(), x.Outcome.Status}
	f.requests.Add(ctx, 1, f.labels.of(r, f.describe).add...)
	r.status = 0
	f.duration.Record(ctx, x.Outcome.Duration.Seconds(), f.labels.of(r, f.describe).record...)
}

func (f *family) describe(r result) []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String(f.label, r.value), attribute.String("outcome", r.outcome)}
	if r.status != 0 {
		kvs = append(kvs, attribute.String("status", strconv.Itoa(r.status)))
	}
	return kvs
}

// A part is what is counted of a backend under one more label; "" is none.
type part struct{ provider, model, label, value string }

func describePart(p part) []attribute.KeyValue {
	kvs := []attribute.KeyValue{attribute.String("berry.provider", p.provider), attribute.String("berry.provider_model", p.model)}
	if p.label != "" {
		kvs = append(kvs, attribute.String(p.label, p.value))
	}
	return kvs
}

func (p *Plugin) attempt(ctx context.Context, a *core.Attempt) {
	of := func(label, value string) *labelSet {
		return p.backends.of(part{a.Backend.Upstream.Provider.ID, a.Backend.Upstream.Model, label, value}, describePart)
	}
	withResult := of("result", a.Result().String())
	p.attempts.Add(ctx, 1, withResult.add...)
	p.attemptTime.Record(ctx, a.Ended.Sub(a.Began).Seconds(), withResult.record...)
	if a.Stream && a.TTFT() > 0 {
		p.ttft.Record(ctx, a.TTFT().Seconds(), of("", "").record...)
	}
	if a.Dropped > 0 {
		p.droppedEvents.Add(ctx, int64(a.Dropped), of("", "").add...)
	}
	if u := a.Usage; u != (core.Usage{}) && a.Failure == nil { // what a failed attempt used is no completion's
		p.tokens.Add(ctx, int64(u.InputTokens), of("direction", "input").add...)
		p.tokens.Add(ctx, int64(u.OutputTokens), of("direction", "output").add...)
		p.cost.Add(ctx, a.Cost(), of("", "").add...)
	}
}
