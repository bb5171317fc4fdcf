package telemetry

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/berrygate/berry/core/telemetry/spans"
)

// A queue exports ended traces in batches, and counts what becomes of each span. It never blocks and never holds more than limit spans. It
// is safe for concurrent use.
type queue struct {
	out   exporter
	log   *slog.Logger
	limit int           // spans
	most  int           // spans of a batch, rounded up to whole traces
	delay time.Duration // until a batch that is not full is exported
	spare sync.Pool     // of *batch

	mu      sync.Mutex
	waiting []*batch
	free    []*batch // for reuse

	wake       chan struct{}
	stop, done chan struct{}
	ctx        context.Context // of all exports
	cancel     context.CancelFunc

	pending                   atomic.Int64 // spans not exported yet
	exported, failed, dropped atomic.Int64
	warned                    time.Time // time of the latest logged failure
}

// An exporter sends traces. It is safe for concurrent use; one goroutine exports.
type exporter interface {
	gather(*batch, *spans.Trace) // adds a trace, which may be reused afterwards
	export(context.Context, *batch) error
	Shutdown(context.Context) error
}

// A batch is what is exported at once, in the exporter's form.
type batch struct {
	spans  int
	wire   []byte
	others []sdktrace.ReadOnlySpan
}

// add moves the other batch's content into this one.
func (b *batch) add(other *batch) {
	b.spans += other.spans
	b.wire, b.others = append(b.wire, other.wire...), append(b.others, other.others...)
	other.reset()
}

// reset empties the batch, but keeps its memory.
func (b *batch) reset() {
	clear(b.others)
	*b = batch{wire: b.wire[:0], others: b.others[:0]}
}

// exportTimeout is the timeout of one export. Spans that do not fit into the queue meanwhile are dropped.
const exportTimeout = 10 * time.Second

// mostKept is the maximum size of a batch's memory that is reused, in bytes.
const mostKept = 1 << 20

// newQueue returns a queue for the exporter, with the limits of the OTEL_BSP_* variables.
func newQueue(out exporter, log *slog.Logger) *queue {
	q := &queue{
		out: out, log: log, spare: sync.Pool{New: func() any { return &batch{} }},
		limit: variable("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize),
		most:  variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize),
		delay: time.Duration(variable("OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay)) * time.Millisecond,
		wake:  make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// variable returns the value of an environment variable if it is a positive number, else the default.
func variable(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// busy reports whether no further trace should be recorded: the remaining room is for traces in progress.
func (q *queue) busy() bool { return q.pending.Load() >= int64(q.limit-q.limit/4) }

// add encodes a trace, or drops it.
func (q *queue) add(t *spans.Trace) {
	n := len(t.Spans())
	if q.pending.Add(int64(n)) > int64(q.limit) {
		q.pending.Add(-int64(n))
		q.dropped.Add(int64(n))
		return
	}
	one := q.spare.Get().(*batch) // encode without the lock
	one.spans = n
	q.out.gather(one, t)
	q.mu.Lock()
	b := q.open()
	b.add(one)
	whole := b.spans >= q.most
	q.mu.Unlock()
	q.spare.Put(one)
	if whole {
		select {
		case q.wake <- struct{}{}:
		default: // run is awake
		}
	}
}

// open returns the batch with room. The lock is held.
func (q *queue) open() *batch {
	if last := len(q.waiting) - 1; last >= 0 && q.waiting[last].spans < q.most {
		return q.waiting[last]
	}
	b := &batch{}
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	}
	q.waiting = append(q.waiting, b)
	return b
}

// run exports full batches at once, and others after the delay, until the queue is closed.
func (q *queue) run() {
	defer close(q.done)
	tick := time.NewTicker(q.delay)
	defer tick.Stop()
	for closing := false; !closing; {
		all := true
		select {
		case <-q.wake:
			all = false
		case <-tick.C:
		case <-q.stop:
			closing = true
		}
		for _, b := range q.take(all) {
			q.export(b)
			b.reset()
			q.mu.Lock()
			if len(q.free) < 2 && cap(b.wire) <= mostKept { // one is filled while the other is exported
				q.free = append(q.free, b)
			}
			q.mu.Unlock()
		}
	}
}

// take takes the waiting batches, or only the full ones.
func (q *queue) take(all bool) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting)
	if !all && n > 0 && q.waiting[n-1].spans < q.most {
		n--
	}
	taken := q.waiting[:n:n]
	q.waiting = slices.Clone(q.waiting[n:])
	return taken
}

// export exports a batch, counts the result, and logs a failure.
func (q *queue) export(b *batch) {
	ctx, cancel := context.WithTimeout(q.ctx, exportTimeout)
	defer cancel()
	n := int64(b.spans)
	err := q.out.export(ctx, b)
	q.pending.Add(-n)
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

// close exports the remaining batches until ctx is done, and shuts the exporter down.
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
