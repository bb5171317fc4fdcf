package telemetry

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// A queue exports ended traces in batches, and knows what became of each span. It never makes anybody wait and never holds more than
// limit spans. It is safe for concurrent use.
type queue struct {
	out     exporter
	log     *slog.Logger
	release func(*spans.Trace) // takes back traces
	limit   int                // spans
	batch   int                // spans of one export, but for the last trace's
	delay   time.Duration      // until what is no whole batch is exported

	mu      sync.Mutex
	waiting []*spans.Trace
	spans   int // of those waiting

	wake       chan struct{}
	stop, done chan struct{}
	ctx        context.Context // of all exports
	cancel     context.CancelFunc

	pending                   atomic.Int64 // spans that are not exported yet
	exported, failed, dropped atomic.Int64
	warned                    time.Time // when a failure was last logged
}

// An exporter sends traces away. One goroutine uses it.
type exporter interface {
	export(context.Context, []*spans.Trace) error
	Shutdown(context.Context) error
}

// exportTimeout bounds one export. What a slow collector does not take meanwhile is dropped.
const exportTimeout = 10 * time.Second

// newQueue returns a queue before the exporter, as the OTEL_BSP_* variables ask for it.
func newQueue(out exporter, log *slog.Logger, release func(*spans.Trace)) *queue {
	q := &queue{
		out: out, log: log, release: release,
		limit: variable("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize),
		batch: variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize),
		delay: time.Duration(variable("OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay)) * time.Millisecond,
		wake:  make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// variable returns what the variable of the environment says, if it is a number above 0, or else what is usual.
func variable(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// busy tells whether no further trace should be recorded: what room is left is for those under way.
func (q *queue) busy() bool { return q.pending.Load() >= int64(q.limit-q.limit/4) }

// add takes an ended trace, or drops it.
func (q *queue) add(t *spans.Trace) {
	n := len(t.Spans())
	if q.pending.Add(int64(n)) > int64(q.limit) {
		q.pending.Add(-int64(n))
		q.dropped.Add(int64(n))
		q.release(t)
		return
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, t)
	q.spans += n
	whole := q.spans >= q.batch
	q.mu.Unlock()
	if whole {
		select {
		case q.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// run exports whole batches at once and what else there is after the delay, until the queue is closed.
func (q *queue) run() {
	defer close(q.done)
	tick := time.NewTicker(q.delay)
	defer tick.Stop()
	var taken []*spans.Trace
	for closing := false; !closing; {
		select {
		case <-q.wake:
		case <-tick.C:
		case <-q.stop:
			closing = true
		}
		q.mu.Lock()
		taken, q.waiting, q.spans = q.waiting, taken[:0], 0
		q.mu.Unlock()
		q.exportAll(taken)
		clear(taken)
	}
}

// exportAll exports the traces batch by batch.
func (q *queue) exportAll(taken []*spans.Trace) {
	for begin, n, i := 0, 0, 0; i < len(taken); i++ {
		n += len(taken[i].Spans())
		if n >= q.batch || i == len(taken)-1 {
			q.export(taken[begin:i+1], int64(n))
			begin, n = i+1, 0
		}
	}
}

// export exports a batch of n spans. What becomes of it is counted, and a failure logged.
func (q *queue) export(batch []*spans.Trace, n int64) {
	ctx, cancel := context.WithTimeout(q.ctx, exportTimeout)
	defer cancel()
	err := q.out.export(ctx, batch)
	q.pending.Add(-n)
	for _, t := range batch {
		q.release(t)
	}
	if err == nil {
		q.exported.Add(n)
		return
	}
	q.failed.Add(n)
	if time.Since(q.warned) >= time.Minute {
		q.warned = time.Now()
		q.log.WarnContext(ctx, "spans were not exported; is the collector up?", "spans", n, "error", err)
	}
}

// close exports what is left until ctx is done, and ends the exporter.
func (q *queue) close(ctx context.Context) error {
	close(q.stop)
	select {
	case <-q.done:
	case <-ctx.Done():
	}
	q.cancel()
	<-q.done
	return q.out.Shutdown(ctx)
}
