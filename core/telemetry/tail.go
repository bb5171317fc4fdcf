package telemetry

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// What the spans that may yet be kept may take.
const (
	heldSpans   = 8192 // in all
	heldByTrace = 256
)

// A tail passes the spans of sampled exchanges on as they end. Those of an exchange that was not sampled, if they are recorded,
// it holds until its first span ends: then all are passed on, if something failed or it was slow, or none. It is safe for
// concurrent use.
type tail struct {
	queue *queue
	rule  func() Sampling

	mu   sync.Mutex
	held map[spanKey]*trunk // of each span under way
	n    int                // spans that are held
}

type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

func keyOf(c trace.SpanContext) spanKey { return spanKey{c.TraceID(), c.SpanID()} }

// A trunk is what is held of one exchange.
type trunk struct {
	root  spanKey
	spans []sdktrace.ReadOnlySpan
	bad   bool
}

var _ sdktrace.SpanProcessor = (*tail)(nil)

func newTail(q *queue, rule func() Sampling) *tail {
	return &tail{queue: q, rule: rule, held: map[spanKey]*trunk{}}
}

// OnStart notes to which exchange a span belongs that is not sampled.
func (t *tail) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.SpanContext().IsSampled() {
		return
	}
	key := keyOf(s.SpanContext())
	t.mu.Lock()
	defer t.mu.Unlock()
	if parent := s.Parent(); parent.IsValid() && !parent.IsRemote() {
		if of := t.held[keyOf(parent)]; of != nil {
			t.held[key] = of
		}
		return
	}
	if len(t.held) < heldSpans {
		t.held[key] = &trunk{root: key}
	}
}

// OnEnd passes a span on, or holds it; with an exchange's first span it decides about all that are held.
func (t *tail) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		t.queue.add(s)
		return
	}
	for _, s := range t.end(s) {
		t.queue.add(kept{s})
	}
}

// end holds the span. It returns what is to be exported now.
func (t *tail) end(s sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	key := keyOf(s.SpanContext())
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.held[key]
	if of == nil {
		return nil
	}
	delete(t.held, key)
	rule, root := t.rule(), key == of.root
	switch {
	case rule.KeepErrors && s.Status().Code == codes.Error && (root || s.SpanKind() == trace.SpanKindClient):
		of.bad = true // not a stage's refusal, which is the request's own fault
	case root && rule.KeepSlow > 0 && s.EndTime().Sub(s.StartTime()) >= rule.KeepSlow:
		of.bad = true
	}
	if t.n >= heldSpans || len(of.spans) >= heldByTrace {
		t.queue.dropped.Add(1)
	} else {
		of.spans = append(of.spans, s)
		t.n++
	}
	if !root {
		return nil
	}
	t.n -= len(of.spans)
	if !of.bad {
		return nil
	}
	return of.spans
}

// A kept span was not sampled, and is exported for what came of it.
type kept struct{ sdktrace.ReadOnlySpan }

// SpanContext returns the span's, with the flag without which the library's batches would leave it out.
func (k kept) SpanContext() trace.SpanContext {
	c := k.ReadOnlySpan.SpanContext()
	return c.WithTraceFlags(c.TraceFlags().WithSampled(true))
}

// ForceFlush exports what is queued.
func (t *tail) ForceFlush(ctx context.Context) error { return t.queue.batches.ForceFlush(ctx) }

// Shutdown exports what is queued, and ends the exporter.
func (t *tail) Shutdown(ctx context.Context) error { return t.queue.batches.Shutdown(ctx) }
