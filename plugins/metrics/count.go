package metrics

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A counter counts by labels. The library asks for the counts when somebody wants to see them; to tell it of each exchange takes it
// longer than all else that is done to count. (RATIONALE.md) It is safe for concurrent use; the zero value has counted nothing.
type counter struct {
	mu     sync.Mutex
	counts map[attribute.Distinct]*count
}

// A count is one set of labels'.
type count struct {
	atomic.Int64
	labels metric.ObserveOption
}

// of returns the count with the labels.
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

// observe tells the library all counts.
func (c *counter) observe(_ context.Context, o metric.Int64Observer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.counts {
		o.Observe(n.Load(), n.labels)
	}
	return nil
}
