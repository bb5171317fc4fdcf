package metrics

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labels remembers sets of labels by what they are made from: making one takes longer than recording with it. Their number is
// bounded, as that of what they are made from is. It is safe for concurrent use; the zero value is empty.
type labels[K comparable] struct {
	mu   sync.RWMutex
	sets map[K]*labelSet
}

// A labelSet is one set of labels, as instruments take it.
type labelSet struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// of returns the key's set, which describe makes the first time.
func (l *labels[K]) of(key K, describe func(K) []attribute.KeyValue) *labelSet {
	l.mu.RLock()
	set := l.sets[key]
	l.mu.RUnlock()
	if set != nil {
		return set
	}
	option := metric.WithAttributeSet(attribute.NewSet(describe(key)...))
	set = &labelSet{[]metric.AddOption{option}, []metric.RecordOption{option}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sets == nil {
		l.sets = map[K]*labelSet{}
	}
	l.sets[key] = set
	return set
}
