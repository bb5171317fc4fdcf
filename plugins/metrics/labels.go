package metrics

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/telemetry/names"
	"github.com/berrygate/berry/sdk/abi"
)

// A labelSet is one set of labels, as instruments take it.
type labelSet struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newLabels(kvs ...attribute.KeyValue) labelSet {
	option := metric.WithAttributeSet(attribute.NewSet(kvs...))
	return labelSet{[]metric.AddOption{option}, []metric.RecordOption{option}}
}

// remembered keeps what is made of a key: to make a set of labels takes longer than to record with it. The number of keys is
// bounded, so that a map is copied for each new one and nobody who looks one up takes a lock. It is safe for concurrent use; the
// zero value is empty.
type remembered[K comparable, V any] struct {
	mu  sync.Mutex // held by whoever adds
	all atomic.Pointer[map[K]*V]
}

// of returns what is made of the key, which make does the first time.
func (r *remembered[K, V]) of(key K, make func(K) V) *V {
	if all := r.all.Load(); all != nil {
		if found := (*all)[key]; found != nil {
			return found
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	more := map[K]*V{}
	if all := r.all.Load(); all != nil {
		more = maps.Clone(*all)
	}
	if more[key] == nil {
		made := make(key)
		more[key] = &made
		r.all.Store(&more)
	}
	return more[key]
}

// A result is what exchanges are told apart by within a family.
type result struct {
	value, outcome string
	status         int
}

// resultLabels are a result's: its count has the status, too.
type resultLabels struct {
	count *count
	timed labelSet
}

func (f *family) labels(r result) resultLabels {
	kvs := []attribute.KeyValue{attribute.String(f.label, r.value), attribute.String(names.LabelOutcome, r.outcome)}
	return resultLabels{
		timed: newLabels(kvs...),
		count: f.requests.of(attribute.NewSet(append(kvs, attribute.String(names.LabelStatus, strconv.Itoa(r.status)))...)),
	}
}

// A stage is one that has ended well or not.
type stage struct {
	name   string
	failed bool
}

func (s stage) labels() labelSet {
	outcome := "ok"
	if s.failed {
		outcome = "failed"
	}
	return newLabels(attribute.String(names.Stage, s.name), attribute.String(names.LabelOutcome, outcome))
}

// A call is what attempts are told apart by.
type call struct {
	operation string
	backend   *core.Backend
	result    abi.Result
}

// callLabels are a call's.
type callLabels struct {
	attempts       *count
	backend        labelSet // Berry's, without the result
	duration, well labelSet // the GenAI conventions': with the failure, if there was one, and without
	input, output  labelSet // … of tokens
}

func (p *Plugin) labels(c call) callLabels {
	u := c.backend.Upstream
	of := []attribute.KeyValue{attribute.String(names.Provider, u.Provider.ID), attribute.String(names.ProviderModel, u.Model)}
	conventional := []attribute.KeyValue{
		names.Operation.String(c.operation), names.GenAIProvider.String(c.backend.System), names.RequestModel.String(u.Model),
		attribute.String(names.Provider, u.Provider.ID),
	}
	with := func(kvs []attribute.KeyValue, kv attribute.KeyValue) labelSet {
		return newLabels(append(kvs[:len(kvs):len(kvs)], kv)...)
	}
	l := callLabels{
		backend: newLabels(of...), attempts: p.attempts.of(attribute.NewSet(append(of, attribute.String(names.LabelResult, c.result.String()))...)),
		well: newLabels(conventional...), input: with(conventional, names.TokenType.String("input")), output: with(conventional, names.TokenType.String("output")),
	}
	l.duration = l.well
	if c.result != abi.OK {
		l.duration = with(conventional, names.ErrorType.String(c.result.String()))
	}
	return l
}

// picker is the label of who picked.
func picker(strategy string) labelSet { return newLabels(attribute.String(names.Strategy, strategy)) }

// A pair is two labels.
type pair struct{ label, value, label2, value2 string }

func (p pair) labels() labelSet {
	return newLabels(attribute.String(p.label, p.value), attribute.String(p.label2, p.value2))
}
