package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Sampling says which traces are exported.
type Sampling struct {
	Ratio      float64       // of those that a client did not decide about, from 0 to 1
	KeepErrors bool          // also of the rest, if something failed in them
	KeepSlow   time.Duration // also of the rest, if they lasted so long; 0 is never
}

// keeps tells whether a trace that is not sampled may still be exported, by what comes of it.
func (s Sampling) keeps() bool { return s.Ratio < 1 && (s.KeepErrors || s.KeepSlow > 0) }

// A sampler decides at the beginning of an exchange, and of all that is no exchange, whether its spans are exported, recorded
// in case it ends badly, or never made. Spans within follow. It is safe for concurrent use.
type sampler struct {
	now atomic.Pointer[rule]
}

type rule struct {
	Sampling
	root sdktrace.Sampler
}

var _ sdktrace.Sampler = (*sampler)(nil)

// set replaces the rule, from the next exchange on.
func (s *sampler) set(to Sampling) {
	s.now.Store(&rule{to, sdktrace.ParentBased(sdktrace.TraceIDRatioBased(to.Ratio))})
}

// ShouldSample decides about one span.
func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanFromContext(p.ParentContext)
	of := parent.SpanContext()
	within := of.IsValid() && !of.IsRemote()
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: of.TraceState()}
	switch {
	case within && of.IsSampled():
		result.Decision = sdktrace.RecordAndSample
	case within && parent.IsRecording():
		result.Decision = sdktrace.RecordOnly
	case within:
	default:
		now := s.now.Load()
		if result = now.root.ShouldSample(p); result.Decision == sdktrace.Drop && now.keeps() {
			result.Decision = sdktrace.RecordOnly
		}
	}
	return result
}

// A tracer makes no spans, and costs next to nothing, while there is no room for a further exchange's: a client's own trace context
// then passes as if there were no traces.
type tracer struct {
	trace.Tracer
	queue *queue
}

// Start starts a span, or one that nobody records.
func (t tracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t.queue.busy() {
		if of := trace.SpanContextFromContext(ctx); !of.IsValid() || of.IsRemote() {
			t.queue.dropped.Add(1)
			return ctx, noop.Span{}
		}
	}
	return t.Tracer.Start(ctx, name, o...)
}

// Description names the sampler, as the interface wants it.
func (s *sampler) Description() string { return "Berry" }
