package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/upstream"
)

// gauges are the current states of backends, strategies and the config.
type gauges struct {
	quarantined, lastFault         metric.Int64ObservableGauge
	state, inFlight, draining      metric.Int64ObservableGauge
	cooldown, latency, ttft, right metric.Float64ObservableGauge
	age                            metric.Float64ObservableGauge
}

// observe registers the gauges with the meter until the registration ends.
func (g *Gateway) observe(m metric.Meter) (metric.Registration, error) {
	var errs []error
	var all []metric.Observable
	whole := func(name, help, unit string) metric.Int64ObservableGauge {
		o, err := m.Int64ObservableGauge(name, metric.WithDescription(help), metric.WithUnit(unit))
		errs, all = append(errs, err), append(all, o)
		return o
	}
	number := func(name, help, unit string) metric.Float64ObservableGauge {
		o, err := m.Float64ObservableGauge(name, metric.WithDescription(help), metric.WithUnit(unit))
		errs, all = append(errs, err), append(all, o)
		return o
	}
	is := gauges{
		quarantined: whole(semconv.MetricStrategyQuarantined, "1 while a strategy is in quarantine and its fallback serves.", ""),
		lastFault:   whole(semconv.MetricStrategyLastFault, "When a strategy last faulted, in Unix time.", "s"),
		state:       whole(semconv.MetricBackendState, "1 for the state that a backend is in, 0 for the others.", ""),
		inFlight:    whole(semconv.MetricBackendInFlight, "Attempts under way, by backend.", ""),
		cooldown:    number(semconv.MetricBackendCooldown, "How much longer a backend is left alone.", "s"),
		latency:     number(semconv.MetricBackendLatency, "Average time from an attempt's start to its commit, as strategies see it.", "s"),
		ttft:        number(semconv.MetricBackendTTFT, "Average time to a stream's first event, as strategies see it.", "s"),
		right:       number(semconv.MetricBackendSuccess, "Average rate of success, from 0 to 1, as strategies see it.", ""),
		age:         number(semconv.MetricConfigAge, "Time since the config that is served was loaded.", "s"),
		draining:    whole(semconv.MetricConfigDraining, "Configs before it that exchanges still use.", ""),
	}
	registration, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s, now := g.Acquire(), time.Now()
		defer s.Release()
		is.strategies(o, s, now)
		is.backends(o, s, now)
		o.ObserveFloat64(is.age, now.Sub(s.Built).Seconds())
		o.ObserveInt64(is.draining, g.alive.Load()-1)
		return nil
	}, all...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return registration, nil
}

func (is *gauges) strategies(o metric.Observer, s *Snapshot, now time.Time) {
	for name, strategy := range s.strategies {
		standing, label := strategy.Standing(now), metric.WithAttributes(attribute.String(semconv.Strategy, name))
		o.ObserveInt64(is.quarantined, one(!standing.Serving), label)
		if !standing.Last.IsZero() {
			o.ObserveInt64(is.lastFault, standing.Last.Unix(), label)
		}
	}
}

func (is *gauges) backends(o metric.Observer, s *Snapshot, now time.Time) {
	seen := map[*upstream.Upstream]bool{}
	for _, m := range s.Catalog.Models() {
		for _, b := range m.Backends {
			u := b.Upstream
			if seen[u] {
				continue
			}
			seen[u] = true
			v := u.View(now)
			of := []attribute.KeyValue{attribute.String(semconv.Provider, u.Provider.ID), attribute.String(semconv.ProviderModel, u.Model)}
			label := metric.WithAttributes(of...)
			for status := upstream.Healthy; status <= upstream.Refused; status++ {
				o.ObserveInt64(is.state, one(v.Status == status), label, metric.WithAttributes(attribute.String(semconv.LabelState, status.String())))
			}
			o.ObserveInt64(is.inFlight, int64(v.InFlight), label)
			o.ObserveFloat64(is.cooldown, max(v.Until.Sub(now), 0).Seconds(), label)
			o.ObserveFloat64(is.latency, v.Averages.LatencyMS/1000, label)
			o.ObserveFloat64(is.ttft, v.Averages.TTFTMS/1000, label)
			o.ObserveFloat64(is.right, v.Averages.Success(), label)
		}
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
