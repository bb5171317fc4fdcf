package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/sdk/abi"
)

// A labelSet is a set of labels, as instruments take it.
type labelSet struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newLabels(kvs ...attribute.KeyValue) labelSet {
	option := metric.WithAttributeSet(attribute.NewSet(kvs...))
	return labelSet{[]metric.AddOption{option}, []metric.RecordOption{option}}
}

// remembered caches what is made of a key: making a set of labels takes longer than recording with it. The number of keys is bounded.
// Lookups of known keys take no lock. It is safe for concurrent use; the zero value is empty.
type remembered[K comparable, V any] struct {
	all    atomic.Pointer[map[K]*V] // never changed, but replaced
	mu     sync.Mutex
	fresh  map[K]*V // not in all yet
	missed int      // lookups that missed all since it was made
}

// of returns what make makes of the key; it calls make once per key.
func (r *remembered[K, V]) of(key K, make func(K) V) *V {
	if all := r.all.Load(); all != nil {
		if found := (*all)[key]; found != nil {
			return found
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all map[K]*V
	if now := r.all.Load(); now != nil {
		all = *now
	}
	if found := all[key]; found != nil {
		return found
	}
	found := r.fresh[key]
	if found == nil {
		made := make(key)
		found = &made
		if r.fresh == nil {
			r.fresh = map[K]*V{}
		}
		r.fresh[key] = found
	}
	if r.missed++; r.missed > len(all) { // not for each new key, or thousands of users would cause thousands of copies
		more := maps.Clone(r.fresh)
		maps.Copy(more, all)
		r.all.Store(&more)
		r.fresh, r.missed = nil, 0
	}
	return found
}

// A result is the labels of an exchange within a family.
type result struct {
	value, outcome string
	status         int // of statusOf
}

// statusOf returns the status if it is a known one, else its first digit: a provider may respond with any number, but the number of labels
// is bounded.
func statusOf(status int) int {
	const overloaded = 529 // Anthropic's and others'
	if http.StatusText(status) != "" || status == apierror.StatusClientGone || status == overloaded {
		return status
	}
	return status / 100
}

// statusLabel returns the label of statusOf's result, such as 404 or 4xx.
func statusLabel(status int) string {
	if status < 10 {
		return strconv.Itoa(status) + "xx"
	}
	return strconv.Itoa(status)
}

// resultLabels are the label sets of a result: its count has the status, too.
type resultLabels struct {
	count *count
	timed labelSet
}

func (f *family) labels(r result) resultLabels {
	kvs := []attribute.KeyValue{attribute.String(f.label, r.value), attribute.String(semconv.LabelOutcome, r.outcome)}
	return resultLabels{
		timed: newLabels(kvs...),
		count: f.requests.of(attribute.NewSet(append(kvs, attribute.String(semconv.LabelStatus, statusLabel(r.status)))...)),
	}
}

// A stage is a stage that has ended, with its result.
type stage struct {
	name   string
	failed bool
}

func (s stage) labels() labelSet {
	outcome := "ok"
	if s.failed {
		outcome = "failed"
	}
	return newLabels(attribute.String(semconv.Stage, s.name), attribute.String(semconv.LabelOutcome, outcome))
}

// A call is the labels of an attempt.
type call struct {
	operation string
	backend   *core.Backend
	result    abi.Result
}

// callLabels are the label sets of a call.
type callLabels struct {
	attempts       *count
	backend        labelSet // Berry's, without the result
	duration, well labelSet // the GenAI conventions': with the failure, if there was one, and without
	input, output  labelSet // … of tokens
}

func (p *Plugin) labels(c call) callLabels {
	u := c.backend.Upstream
	of := []attribute.KeyValue{attribute.String(semconv.Provider, u.Provider.ID), attribute.String(semconv.ProviderModel, u.Model)}
	conventional := []attribute.KeyValue{
		semconv.Operation.String(c.operation), semconv.GenAIProvider.String(c.backend.System), semconv.RequestModel.String(u.Model),
		attribute.String(semconv.Provider, u.Provider.ID),
	}
	with := func(kvs []attribute.KeyValue, kv attribute.KeyValue) labelSet {
		return newLabels(append(kvs[:len(kvs):len(kvs)], kv)...)
	}
	l := callLabels{
		backend: newLabels(of...), attempts: p.attempts.of(attribute.NewSet(append(of, attribute.String(semconv.LabelResult, c.result.String()))...)),
		well: newLabels(conventional...), input: with(conventional, semconv.TokenType.String("input")), output: with(conventional, semconv.TokenType.String("output")),
	}
	l.duration = l.well
	if c.result != abi.OK {
		l.duration = with(conventional, semconv.ErrorType.String(c.result.String()))
	}
	return l
}

// picker is the label of the strategy that picked.
func picker(strategy string) labelSet { return newLabels(attribute.String(semconv.Strategy, strategy)) }

// A pair is two labels.
type pair struct{ label, value, label2, value2 string }

func (p pair) labels() labelSet {
	return newLabels(attribute.String(p.label, p.value), attribute.String(p.label2, p.value2))
}
