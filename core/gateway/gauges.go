package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// observe has the meter ask for the standing of the strategies until the registration ends.
func (g *Gateway) observe(m metric.Meter) (metric.Registration, error) {
	quarantined, err := m.Int64ObservableGauge("berry.strategy.quarantined", metric.WithDescription("1 while a strategy is in quarantine and its fallback serves."))
	last, err2 := m.Int64ObservableGauge("berry.strategy.last_fault", metric.WithDescription("When a strategy last faulted, in Unix time."), metric.WithUnit("s"))
	registration, err3 := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := g.Acquire()
		defer s.Release()
		for name, strategy := range s.strategies {
			standing, label := strategy.Standing(time.Now()), metric.WithAttributes(attribute.String("berry.strategy", name))
			out := int64(0)
			if !standing.Serving {
				out = 1
			}
			o.ObserveInt64(quarantined, out, label)
			if !standing.Last.IsZero() {
				o.ObserveInt64(last, standing.Last.Unix(), label)
			}
		}
		return nil
	}, quarantined, last)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return registration, nil
}
