package metrics

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A counter counts by labels. OpenTelemetry reads the counts when it collects; reporting each exchange to its instruments would take longer
// than all the other counting. (RATIONALE.md) It is safe for concurrent use; the zero value is empty.
type counter struct {
	mu     sync.Mutex
	counts map[attribute.Distinct]*count
}

// A count is that of one set of labels.
type count struct {
	atomic.Int64
	labels metric.ObserveOption
}

// of returns the count of the labels.
func (c *counter) of(labels attribute.Set) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[attribute.Distinct]*count{}
	}
	found := c.counts[labels.Equivalent()]
	if found == nil {
		found = &count{labels: metric.WithAttributeSet(labels)}
		c.counts[labels.Equivalent()] = found
	}
	return found
}

// observe reports all counts.
func (c *counter) observe(_ context.Context, o metric.Int64Observer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.counts {
		o.Observe(n.Load(), n.labels)
	}
	return nil
}
