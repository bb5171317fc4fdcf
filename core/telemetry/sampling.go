package telemetry

import (
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// Sampling says which traces are exported.
type Sampling struct {
	Ratio      float64       // of those that a client did not decide about, from 0 to 1
	KeepErrors bool          // also of the rest, if something failed in them
	KeepSlow   time.Duration // also of the rest, if they lasted so long; 0 is never
}

// mayKeep tells whether a trace that is not sampled may still be exported, by what comes of it.
func (s Sampling) mayKeep() bool { return s.Ratio < 1 && (s.KeepErrors || s.KeepSlow > 0) }

// keeps tells whether the trace that was not sampled is exported for what came of it. A stage's refusal is the request's own
// fault.
func (s Sampling) keeps(t *spans.Trace) bool {
	first := t.First()
	if s.KeepSlow > 0 && first.Ended.Sub(first.Began) >= s.KeepSlow {
		return true
	}
	if !s.KeepErrors {
		return false
	}
	for _, span := range t.Spans() {
		if span.Failed && (span == first || span.Kind == trace.SpanKindClient) {
			return true
		}
	}
	return false
}

// A sampler decides at the beginning of a trace whether it is exported, recorded in case it ends badly, or never made. It is safe
// for concurrent use.
type sampler struct {
	now atomic.Pointer[rule]
}

type rule struct {
	Sampling
	ratio sdktrace.Sampler
}

// set replaces the rule, from the next trace on.
func (s *sampler) set(to Sampling) { s.now.Store(&rule{to, sdktrace.TraceIDRatioBased(to.Ratio)}) }

// sample decides about the trace that begins within parent, if that is valid.
func (s *sampler) sample(parent trace.SpanContext, id trace.TraceID) (sampled, recorded bool) {
	now := s.now.Load()
	if parent.IsValid() {
		sampled = parent.IsSampled()
	} else {
		sampled = now.ratio.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample
	}
	return sampled, sampled || now.mayKeep()
}
