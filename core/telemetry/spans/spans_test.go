package spans

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// An owner has so much room, and keeps what has ended.
type owner struct {
	room  int
	ended *Trace
}

func (o *owner) Capacity(*Trace) bool { o.room--; return o.room >= 0 }
func (o *owner) Ended(t *Trace)       { o.ended = t }

func begin(o *owner, t *Trace) *Trace {
	t.Start(o, trace.NewSpanContext(trace.SpanContextConfig{TraceID: NewTraceID(), SpanID: NewSpanID()}), trace.SpanContext{}, "first", trace.SpanKindServer, time.Now())
	return t
}

// lines writes the spans, each within its parent.
func lines(t *Trace) string {
	var b strings.Builder
	depth := map[trace.SpanID]int{}
	for _, s := range t.Spans() {
		depth[s.ID] = depth[s.Parent] + 1
		b.WriteString(strings.Repeat(" ", depth[s.ID]-1) + s.Name + "\n")
	}
	return b.String()
}

// Spans stand in the innermost one that is open. Whatever is open when the trace ends, ends with it; what there was no room for is counted.
func TestTrace(t *testing.T) {
	o := &owner{room: 4}
	of := begin(o, &Trace{})
	of.Begin("auth", trace.SpanKindInternal).End()
	relay := of.Begin("relay", trace.SpanKindInternal)
	of.Begin("attempt", trace.SpanKindClient) // never ended
	relay.End()
	of.Begin("metrics", trace.SpanKindInternal)
	lost := of.Begin("lost", trace.SpanKindInternal)
	lost.Set(attribute.Bool("set", true))
	lost.Event("event", time.Now())
	lost.Fail("why")
	lost.End()
	of.End()
	if got := lines(o.ended); got != "first\n auth\n relay\n  attempt\n metrics\n" || of.Dropped != 1 {
		t.Errorf("%s%d dropped", got, of.Dropped)
	}
	for _, s := range of.Spans() {
		if s.Ended.Before(s.Began) || s.Ended.IsZero() {
			t.Errorf("%s ended at %v", s.Name, s.Ended)
		}
	}
	of.Reset()
	if got := lines(begin(&owner{}, of)); got != "first\n" || of.Dropped != 0 || of.Current() != of.Root() {
		t.Errorf("used again: %s%d dropped", got, of.Dropped)
	}
}

// Where nobody records, nothing happens.
func TestNobodyRecords(t *testing.T) {
	ctx, of := Begin(context.Background(), nil, "first", trace.SpanKindServer, time.Now())
	s := of.Begin("stage", trace.SpanKindInternal)
	s.Set(attribute.Bool("set", true))
	s.SetLazy(nil)
	s.EndAt(time.Now())
	of.End()
	if of.Root() != nil || of.Current() != nil || s.Has("set") || s.In(ctx) != ctx {
		t.Error("something happened")
	}
}
