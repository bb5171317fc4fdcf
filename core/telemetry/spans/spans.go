// Package spans records exchanges as OpenTelemetry spans. The spans of one exchange share memory, which is reused, and are exported together
// or not at all. (RATIONALE.md explains why the SDK does not record them.)
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
	// Begin begins a trace at the time, as a part of parent's, if that is valid. It returns a context with the first span, and nil if the
	// trace is not recorded. The caller must End the trace.
	Begin(ctx context.Context, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) (context.Context, *Trace)
}

// Begin begins a trace of the gateway's own. The tracer may be nil.
func Begin(ctx context.Context, t Tracer, name string, kind trace.SpanKind, at time.Time) (context.Context, *Trace) {
	if t == nil {
		return ctx, nil
	}
	return t.Begin(ctx, trace.SpanContext{}, name, kind, at)
}

// A Trace is the spans of one exchange, or of another activity. Open spans are nested. It is not safe for concurrent use. A nil Trace
// records nothing.
type Trace struct {
	Context trace.SpanContext // of the first span
	Parent  trace.SpanContext // of the first span: the client's; invalid if none
	Link    trace.SpanContext // of the first span; invalid if none
	Dropped int               // spans without room

	spans []*Span // in the order in which they began
	spare []*Span // for reuse
	open  *Span   // the innermost one
	sink  Sink
}

// A Sink receives traces. It is safe for concurrent use.
type Sink interface {
	Capacity(*Trace) bool // reports whether there is room for another span
	Ended(*Trace)         // takes a trace that has ended
}

// mostSpans is the maximum number of spans of a trace.
const mostSpans = 256

// Start begins the trace, new or reused, with its first span.
func (t *Trace) Start(owner Sink, c, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) {
	t.sink, t.Context, t.Parent = owner, c, parent
	s := t.add(name, kind, at)
	s.ID, s.Parent = c.SpanID(), parent.SpanID()
}

// Detach separates the trace from the client's and links to it instead: a client that is not authenticated must not decide what is exported,
// or where it belongs.
func (t *Trace) Detach() {
	if t != nil && t.Parent.IsValid() {
		t.Link, t.Parent = t.Parent, trace.SpanContext{}
		t.Root().Parent = trace.SpanID{}
	}
}

// Spans returns the spans in the order in which they began.
func (t *Trace) Spans() []*Span { return t.spans }

// Root returns the first span; nil if the trace is not recorded.
func (t *Trace) Root() *Span {
	if t == nil {
		return nil
	}
	return t.spans[0]
}

// Current returns the innermost open span; nil if the trace is not recorded.
func (t *Trace) Current() *Span {
	if t == nil {
		return nil
	}
	return t.open
}

// Begin begins a span within the innermost open one. It returns nil if the trace is not recorded, or if there is no room. The caller must
// End it.
func (t *Trace) Begin(name string, kind trace.SpanKind) *Span {
	if t == nil {
		return nil
	}
	return t.BeginAt(name, kind, time.Now())
}

// BeginAt is Begin for a span that began at the time.
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

// End ends the trace and passes it to its sink.
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

// ResolveLazy adds the lazy attributes of all spans.
func (t *Trace) ResolveLazy() {
	for _, s := range t.spans {
		if s.lazy != nil {
			s.lazy.AddTo(s)
		}
	}
}

// Reset empties the trace, but keeps its memory. No part of it may be in use.
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

// A LazyAttributes adds attributes to a span that is exported.
type LazyAttributes interface{ AddTo(*Span) }

// An Event is a point in time within a span.
type Event struct {
	Name       string
	At         time.Time
	Attributes []attribute.KeyValue
}
