package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/internal/otlptest"
)

// A collector that takes nothing, or refuses, costs no more than a queue of spans; what is lost is counted, whole exchanges at a
// time; and the end does not wait for it for ever.
func TestBlackHole(t *testing.T) {
	released := make(chan struct{})
	hole := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-released
	}))
	defer hole.Close()
	defer close(released)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
	out := begin(t, hole.URL, Sampling{Ratio: 1})
	recorded := 0
	for range 1000 {
		of := root(out, "exchange")
		if of != nil { // as the server goes on
			recorded++
			for range 4 {
				s := of.Begin("stage", trace.SpanKindInternal)
				if s == nil {
					t.Fatal("only a part of an exchange is recorded")
				}
				s.End()
			}
		}
		of.End()
		if n := out.queue.pending.Load(); n > 100 {
			t.Fatalf("%d spans wait", n)
		}
	}
	if lost := out.queue.dropped.Load(); lost != int64(1000-recorded) || recorded < 10 || recorded > 25 {
		t.Errorf("%d exchanges recorded, %d lost", recorded, lost)
	}
	over, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	out.Close(over)
}

// A collector that refuses is counted too.
func TestRefusingCollector(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	out := begin(t, refusing.URL, Sampling{Ratio: 1})
	root(out, "exchange").End()
	out.Close(context.Background())
	if n := out.queue.failed.Load(); n != 1 {
		t.Errorf("%d failed", n)
	}
}

// What is held until an exchange ends is bounded, in one and in all, and gone when it has ended.
func TestHeldIsBounded(t *testing.T) {
	r := otlptest.New(t)
	out := begin(t, r.URL, Sampling{KeepErrors: true})
	var all []*spans.Trace
	for range heldSpans/200 + 1 {
		of := root(out, "exchange")
		for range 300 {
			of.Begin("stage", trace.SpanKindInternal).End()
		}
		all = append(all, of)
	}
	held := 0
	for _, of := range all {
		held += len(of.Spans()) - 1
		if n := len(of.Spans()); n > 256 {
			t.Errorf("%d spans in one", n)
		}
	}
	if held != heldSpans {
		t.Errorf("%d spans are held", held)
	}
	all[0].Root().Fail("")
	for _, of := range all {
		of.End()
	}
	out.Close(context.Background())
	if n := len(r.Spans()); n != 256 || out.held.Load() != 0 || int(out.queue.dropped.Load()) != 300*len(all)-heldSpans {
		t.Errorf("%d spans came, %d are held, %d were dropped", n, out.held.Load(), out.queue.dropped.Load())
	}
}

// Exports are no larger than OTEL_BSP_MAX_EXPORT_BATCH_SIZE asks for, but for the last trace in each.
func TestBatches(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
	r := otlptest.New(t)
	var sizes []int
	last := 0
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.ServeHTTP(w, q)
		n := len(r.Spans())
		sizes, last = append(sizes, n-last), n
	}))
	out := begin(t, counting.URL, Sampling{Ratio: 1})
	for range 50 {
		of := root(out, "exchange")
		of.Begin("stage", trace.SpanKindInternal).End()
		of.Begin("stage", trace.SpanKindInternal).End()
		of.End()
	}
	out.Close(context.Background())
	counting.Close()
	if last != 150 {
		t.Errorf("%d spans came", last)
	}
	for _, n := range sizes {
		if n > 12 {
			t.Errorf("%d spans in one export", n)
		}
	}
}
