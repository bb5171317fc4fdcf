package metrics

import (
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core/telemetry/semconv"
)

// Instruments are the instruments of all configs' stages. They are safe for concurrent use.
type Instruments struct {
	modelRequests, userRequests    counter
	attempts                       counter
	modelDuration, userDuration    metric.Float64Histogram
	stageDuration                  metric.Float64Histogram
	duration, firstChunk, perToken metric.Float64Histogram
	tokens                         metric.Int64Histogram
	dropped                        metric.Int64Counter
	cost                           metric.Float64Counter
	faults, shadows                metric.Int64Counter
	fuel                           metric.Int64Histogram
}

// The boundaries of histograms.
func seconds() []float64 { // as the GenAI conventions advise for operations
	return []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

func tokenSeconds() []float64 { // … for the time per output token
	return []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
}

func tokens() []float64 { // … for tokens
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}

func stageSeconds() []float64 { // relay takes as long as its attempts, other stages microseconds
	return []float64{.000001, .00001, .0001, .001, .01, .1, 1, 10, 100}
}

func fuel() []float64 {
	return []float64{100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1e6, 3e6}
}

// NewInstruments makes the instruments of a meter. It fails if the meter rejects one.
func NewInstruments(m metric.Meter) (*Instruments, error) {
	var errs []error
	rare := func(name, help string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(help))
		errs = append(errs, err)
		return c
	}
	timer := func(name, help string, boundaries []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithDescription(help), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(boundaries...))
		errs = append(errs, err)
		return h
	}
	number := func(name, help, unit string, boundaries []float64) metric.Int64Histogram {
		h, err := m.Int64Histogram(name, metric.WithDescription(help), metric.WithUnit(unit), metric.WithExplicitBucketBoundaries(boundaries...))
		errs = append(errs, err)
		return h
	}
	cost, err := m.Float64Counter(semconv.MetricCost, metric.WithDescription("What answers have cost by cost_input and cost_output, by backend."))
	errs = append(errs, err)
	i := &Instruments{
		cost:          cost,
		modelDuration: timer(semconv.MetricModelDuration, "Time from a request to the end of its answer, by model and outcome.", seconds()),
		userDuration:  timer(semconv.MetricUserDuration, "Time from a request to the end of its answer, by user and outcome.", seconds()),
		stageDuration: timer(semconv.MetricStageDuration, "Time that a stage of the pipeline took, by stage and outcome.", stageSeconds()),
		duration:      timer(semconv.MetricOperationDuration, "Time from an attempt's start to its end, by operation, provider and model.", seconds()),
		firstChunk:    timer(semconv.MetricTimeToFirstChunk, "Time from a streamed attempt's start to its first event.", seconds()),
		perToken:      timer(semconv.MetricTimePerOutputToken, "Time per output token after a stream's first event.", tokenSeconds()),
		tokens:        number(semconv.MetricTokenUsage, "Tokens of answers, as far as providers reported them, by direction.", "{token}", tokens()),
		dropped:       rare(semconv.MetricDroppedEvents, "Malformed events that were taken out of streams, by backend."),
		faults:        rare(semconv.MetricStrategyFaults, "Picks that a strategy owed and failed to make, by strategy and reason."),
		shadows:       rare(semconv.MetricShadowPicks, "Picks of shadow strategies, by strategy and how they compare."),
		fuel:          number(semconv.MetricStrategyFuel, "Fuel that picks burned, by the strategy that made them.", "{fuel}", fuel()),
	}
	for _, c := range []struct {
		*counter
		name, help string
	}{
		{&i.modelRequests, semconv.MetricModelRequests, "Requests by model, status and outcome."},
		{&i.userRequests, semconv.MetricUserRequests, "Requests by user, status and outcome."},
		{&i.attempts, semconv.MetricAttempts, "Attempts by backend and result."},
	} {
		_, err := m.Int64ObservableCounter(c.name, metric.WithDescription(c.help), metric.WithInt64Callback(c.observe))
		errs = append(errs, err)
	}
	return i, errors.Join(errs...)
}
