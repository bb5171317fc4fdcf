// Package spans records what happens to an exchange as OpenTelemetry's spans. Those of one exchange are kept together, in memory that
// is used again for a later one, and are exported together or not at all. (RATIONALE.md says why the library does not record them.)
package spans

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A Tracer begins traces. It is safe for concurrent use.
type Tracer interface {
	// Begin begins a trace at the time, as a part of that which parent, if it is valid, belongs to. It returns a context that
	// belongs to the first span, and nil if nobody records the trace. Whoever begins a trace ends it.
	Begin(ctx context.Context, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) (context.Context, *Trace)
}

// Begin begins a trace of the gateway's own, as t.Begin does. The tracer may be nil: then nobody records it.
func Begin(ctx context.Context, t Tracer, name string, kind trace.SpanKind, at time.Time) (context.Context, *Trace) {
	if t == nil {
		return ctx, nil
	}
	return t.Begin(ctx, trace.SpanContext{}, name, kind, at)
}

// A Trace is the spans of one exchange, or of whatever else begins by itself. Those that are open stand in one another. It
// belongs to one goroutine. A nil Trace records nothing, and costs nothing.
type Trace struct {
	Context trace.SpanContext // of the first span
	Parent  trace.SpanContext // of the first span: the client's; invalid if there is none
	Link    trace.SpanContext // what the first span only refers to; invalid if it refers to nothing
	Dropped int               // spans for which there was no room

	spans []*Span // in the order in which they began
	spare []*Span // have been used, and will be again
	open  *Span   // the innermost one
	sink  Sink
}

// An Sink is told of its traces. It is safe for concurrent use.
type Sink interface {
	Capacity(*Trace) bool // is there room for a further span?
	Ended(*Trace)         // the trace is complete, and the owner's
}

// mostSpans bounds a trace.
const mostSpans = 256

// Start makes the trace, new or used before, begin with its first span.
func (t *Trace) Start(owner Sink, c, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) {
	t.sink, t.Context, t.Parent = owner, c, parent
	s := t.add(name, kind, at)
	s.ID, s.Parent = c.SpanID(), parent.SpanID()
}

// Detach makes the trace one of its own, which only refers to the client's: whoever is not known cannot say what is exported, nor where it
// belongs.
func (t *Trace) Detach() {
	if t != nil && t.Parent.IsValid() {
		t.Link, t.Parent = t.Parent, trace.SpanContext{}
		t.Root().Parent = trace.SpanID{}
	}
}

// Spans returns the spans in the order in which they began.
func (t *Trace) Spans() []*Span { return t.spans }

// Root returns the trace's first span; nil if nobody records it.
func (t *Trace) Root() *Span {
	if t == nil {
		return nil
	}
	return t.spans[0]
}

// Current returns the innermost span that is open; nil if nobody records the trace.
func (t *Trace) Current() *Span {
	if t == nil {
		return nil
	}
	return t.open
}

// Begin opens a span within the innermost one. It returns nil if nobody records the trace, or there is no room. The caller ends it.
func (t *Trace) Begin(name string, kind trace.SpanKind) *Span {
	if t == nil {
		return nil
	}
	return t.BeginAt(name, kind, time.Now())
}

// BeginAt opens a span, as Begin does, that began at the time.
func (t *Trace) BeginAt(name string, kind trace.SpanKind, at time.Time) *Span {
	if t == nil {
		return nil
	}
	if len(t.spans) >= mostSpans || !t.sink.Capacity(t) {
		t.Dropped++
		return nil
	}
	parent := t.open
	s := t.add(name, kind, at)
	s.ID, s.Parent, s.within = NewSpanID(), parent.ID, parent
	return s
}

func (t *Trace) add(name string, kind trace.SpanKind, at time.Time) *Span {
	var s *Span
	if n := len(t.spare); n > 0 {
		s, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		s = &Span{}
	}
	s.trace, s.Name, s.Kind, s.Began = t, name, kind, at
	t.spans, t.open = append(t.spans, s), s
	return s
}

// End ends the trace, which its owner has from now on.
func (t *Trace) End() {
	if t == nil {
		return
	}
	now := time.Now()
	for _, s := range t.spans {
		if s.Ended.IsZero() {
			s.EndAt(now)
		}
	}
	t.sink.Ended(t)
}

// ResolveLazy has those spans that something is to be said about only if they are exported say it.
func (t *Trace) ResolveLazy() {
	for _, s := range t.spans {
		if s.lazy != nil {
			s.lazy.AddTo(s)
		}
	}
}

// Reset forgets everything but the memory. Nothing of the trace may be in use any more.
func (t *Trace) Reset() {
	for _, s := range slices.Backward(t.spans) {
		clear(s.Attributes)
		clear(s.Events)
		*s = Span{Attributes: s.Attributes[:0], Events: s.Events[:0]}
		t.spare = append(t.spare, s)
	}
	clear(t.spans)
	*t = Trace{spans: t.spans[:0], spare: t.spare}
}

// NewSpanID returns a random id.
func NewSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// NewTraceID returns a random id.
func NewTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// An LazyAttributes says in a span what took place. It is asked only if the span is exported.
type LazyAttributes interface{ AddTo(*Span) }

// An Event is a moment within a span.
type Event struct {
	Name       string
	At         time.Time
	Attributes []attribute.KeyValue
}
