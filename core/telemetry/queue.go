package telemetry

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A queue passes ended spans on to the library's batches, and knows what became of each: the library drops what it has no room
// for without a word. It never waits and never holds more than limit spans. It is safe for concurrent use.
type queue struct {
	batches  sdktrace.SpanProcessor
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	limit    int64

	pending                   atomic.Int64 // handed to batches, and not exported yet
	exported, failed, dropped atomic.Int64
	warned                    atomic.Int64 // when a failure was last logged, Unix seconds
}

var _ sdktrace.SpanExporter = (*queue)(nil)

// exportTimeout bounds one export. What a slow collector does not take meanwhile is dropped.
const exportTimeout = 10 * time.Second

// newQueue returns a queue before the exporter. Its size is OTEL_BSP_MAX_QUEUE_SIZE, or the library's default.
func newQueue(exporter sdktrace.SpanExporter, log *slog.Logger) *queue {
	size, err := strconv.Atoi(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE"))
	if err != nil || size < 1 {
		size = sdktrace.DefaultMaxQueueSize
	}
	q := &queue{exporter: exporter, log: log, limit: int64(size)}
	q.batches = sdktrace.NewBatchSpanProcessor(q, sdktrace.WithMaxQueueSize(size), sdktrace.WithExportTimeout(exportTimeout))
	return q
}

// busy tells whether no further exchange should be recorded: what room is left is for those under way, so that a trace is
// exported whole or not at all.
func (q *queue) busy() bool { return q.pending.Load() >= q.limit-q.limit/4 }

// add takes an ended span, or drops it.
func (q *queue) add(s sdktrace.ReadOnlySpan) {
	if q.pending.Add(1) > q.limit {
		q.pending.Add(-1)
		q.dropped.Add(1)
		return
	}
	q.batches.OnEnd(s)
}

// ExportSpans exports a batch. An error is counted and logged here, and goes no further: the library would print it in a form of
// its own.
func (q *queue) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := int64(len(spans))
	err := q.exporter.ExportSpans(ctx, spans)
	q.pending.Add(-n)
	if err == nil {
		q.exported.Add(n)
		return nil
	}
	q.failed.Add(n)
	const pause = 60
	if now, last := time.Now().Unix(), q.warned.Load(); now-last >= pause && q.warned.CompareAndSwap(last, now) {
		q.log.WarnContext(ctx, "spans were not exported; is the collector up?", "spans", n, "error", err)
	}
	return nil
}

// Shutdown ends the exporter.
func (q *queue) Shutdown(ctx context.Context) error { return q.exporter.Shutdown(ctx) }
