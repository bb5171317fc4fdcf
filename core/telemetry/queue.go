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

// A queue exports ended traces in batches, and knows what became of each span. It never makes anybody wait and never holds more than
// limit spans. It is safe for concurrent use.
type queue struct {
	out   exporter
	log   *slog.Logger
	limit int           // spans
	most  int           // spans of a batch, but for the last trace's
	delay time.Duration // until what is no whole batch is exported
	spare sync.Pool     // of *batch

	mu      sync.Mutex
	waiting []*batch
	free    []*batch // have been exported

	wake       chan struct{}
	stop, done chan struct{}
	ctx        context.Context // of all exports
	cancel     context.CancelFunc

	pending                   atomic.Int64 // spans that are not exported yet
	exported, failed, dropped atomic.Int64
	warned                    time.Time // when a failure was last logged
}

// An exporter sends traces away. It is safe for concurrent use; one goroutine exports.
type exporter interface {
	gather(*batch, *spans.Trace) // adds what is to be exported of the trace, which may be used again then
	export(context.Context, *batch) error
	Shutdown(context.Context) error
}

// A batch is what is exported at once, in the form of its exporter.
type batch struct {
	spans  int
	wire   []byte
	others []sdktrace.ReadOnlySpan
}

// add moves what is in the other batch into this one.
func (b *batch) add(other *batch) {
	b.spans += other.spans
	b.wire, b.others = append(b.wire, other.wire...), append(b.others, other.others...)
	other.reset()
}

// reset forgets everything but the memory.
func (b *batch) reset() {
	clear(b.others)
	*b = batch{wire: b.wire[:0], others: b.others[:0]}
}

// exportTimeout bounds one export. What a slow collector does not take meanwhile is dropped.
const exportTimeout = 10 * time.Second

// mostKept bounds, in bytes, the memory of a batch that is used again.
const mostKept = 1 << 20

// newQueue returns a queue before the exporter, as the OTEL_BSP_* variables ask for it.
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

// variable returns what the variable of the environment says, if it is a number above 0, or else what is usual.
func variable(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// busy tells whether no further trace should be recorded: what room is left is for those under way.
func (q *queue) busy() bool { return q.pending.Load() >= int64(q.limit-q.limit/4) }

// add takes what is to be exported of the trace, or drops it.
func (q *queue) add(t *spans.Trace) {
	n := len(t.Spans())
	if q.pending.Add(int64(n)) > int64(q.limit) {
		q.pending.Add(-int64(n))
		q.dropped.Add(int64(n))
		return
	}
	one := q.spare.Get().(*batch) // so that nobody waits for the lock meanwhile
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
		default: // it is awake
		}
	}
}

// open returns the batch that has room. The caller holds the lock.
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

// run exports whole batches at once and what else there is after the delay, until the queue is closed.
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
			if len(q.free) < 2 && cap(b.wire) <= mostKept { // one is filled while the other is exported; a backlog is not kept
				q.free = append(q.free, b)
			}
			q.mu.Unlock()
		}
	}
}

// take takes what waits, or only the whole batches of it.
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

// export exports a batch. What becomes of it is counted, and a failure logged.
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
