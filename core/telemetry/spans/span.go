package spans

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A Span is one part of a trace. The methods of a nil Span do nothing.
type Span struct {
	Name         string
	Kind         trace.SpanKind
	ID, Parent   trace.SpanID
	Began, Ended time.Time
	Attributes   []attribute.KeyValue // with unique keys
	Events       []Event
	Failed       bool
	Why          string // reason of the failure

	trace  *Trace
	within *Span
	lazy   LazyAttributes
}

// Set adds attributes. Their keys must be new.
func (s *Span) Set(attributes ...attribute.KeyValue) {
	if s != nil {
		s.Attributes = append(s.Attributes, attributes...)
	}
}

// Has reports whether the span has an attribute with the key.
func (s *Span) Has(key attribute.Key) bool {
	return s != nil && slices.ContainsFunc(s.Attributes, func(a attribute.KeyValue) bool { return a.Key == key })
}

// Event adds an event.
func (s *Span) Event(name string, at time.Time, attributes ...attribute.KeyValue) {
	if s != nil {
		s.Events = append(s.Events, Event{name, at, slices.Clone(attributes)})
	}
}

// Fail records that the part failed, and why.
func (s *Span) Fail(why string) {
	if s != nil {
		s.Failed, s.Why = true, why
	}
}

// SetLazy sets attributes that are added only if the span is exported.
func (s *Span) SetLazy(e LazyAttributes) {
	if s != nil {
		s.lazy = e
	}
}

// End ends the span, and all open spans within it.
func (s *Span) End() {
	if s != nil {
		s.EndAt(time.Now())
	}
}

// EndAt ends the span at the time.
func (s *Span) EndAt(at time.Time) {
	if s != nil {
		s.Ended = s.Began.Add(at.Sub(s.Began)) // by the monotonic clock
		s.trace.open = s.within
	}
}

// In returns a context with the span.
func (s *Span) In(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, s.trace.Context.WithSpanID(s.ID))
}
