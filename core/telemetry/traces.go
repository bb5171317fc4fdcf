package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
)

// heldSpans bounds the spans of traces that are recorded only in case they end badly.
const heldSpans = 8192

// traces are a process's tracer, and the way of its spans to where the OTEL_* variables say. The zero value makes none.
type traces struct {
	sampler sampler
	queue   *queue       // nil: nobody wants any
	held    atomic.Int64 // spans of traces that are not sampled
	used    sync.Pool    // of *spans.Trace
}

var (
	_ spans.Tracer = (*traces)(nil)
	_ spans.Sink   = (*traces)(nil)
)

func (t *traces) start(ctx context.Context, o Options) error {
	if !exporting("TRACES") {
		return nil
	}
	of, err := describe(ctx, o)
	if err != nil {
		return err
	}
	out, err := newExporter(ctx, of)
	if err != nil || out == nil {
		return err
	}
	t.queue = newQueue(out, o.Log)
	if warning := t.sampler.start(); warning != "" {
		o.Log.WarnContext(ctx, "telemetry", "warning", warning)
	}
	t.Sample(o.Sampling)
	return nil
}

// Begin begins a trace. While there is no room for a further one, and in one that is not to be recorded, nothing is recorded;
// without room the client's own trace context then passes as if there were no traces.
func (t *traces) Begin(ctx context.Context, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time) (context.Context, *spans.Trace) {
	if t.queue.busy() {
		t.queue.dropped.Add(1)
		return ctx, nil
	}
	id := parent.TraceID()
	if !parent.IsValid() {
		id = spans.NewTraceID()
	}
	sampled, recorded := t.sampler.sample(parent, id)
	is := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: spans.NewSpanID(), TraceFlags: parent.TraceFlags().WithSampled(sampled), TraceState: parent.TraceState(),
	})
	ctx = trace.ContextWithSpanContext(ctx, is)
	if !recorded {
		return ctx, nil
	}
	of, _ := t.used.Get().(*spans.Trace)
	if of == nil {
		of = &spans.Trace{}
	}
	of.Start(t, is, parent, name, kind, at)
	return ctx, of
}

// Capacity tells whether there is room for a further span.
func (t *traces) Capacity(of *spans.Trace) bool {
	if of.Context.IsSampled() {
		return true
	}
	if t.held.Add(1) > heldSpans {
		t.held.Add(-1)
		return false
	}
	return true
}

// Ended exports the trace, if it is sampled or kept for what came of it.
func (t *traces) Ended(of *spans.Trace) {
	t.queue.dropped.Add(int64(of.Dropped))
	sampled := of.Context.IsSampled()
	if !sampled {
		t.held.Add(1 - int64(len(of.Spans()))) // the first needed no room
	}
	if of.Link.IsValid() { // it is not what it began as
		id := spans.NewTraceID()
		sampled, _ = t.sampler.sample(trace.SpanContext{}, id)
		of.Context = trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: of.Context.SpanID()})
	}
	if sampled || t.sampler.now.Load().keeps(of) {
		of.ResolveLazy()
		t.queue.add(of)
	}
	of.Reset()
	t.used.Put(of)
}

// exporting tells whether a variable asks for the signal, TRACES or METRICS, to be exported. (autoexport would export to
// localhost without any.)
func exporting(signal string) bool {
	if disabled() {
		return false
	}
	for _, name := range []string{"OTEL_" + signal + "_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// disabled tells whether OTEL_SDK_DISABLED switches everything off.
func disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// describe returns what all signals of the service say of where they come from. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
// go before the config.
func describe(ctx context.Context, o Options) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName.String(o.Service), semconv.ServiceVersion.String(o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Tracer returns the gateway's tracer; nil if nobody wants spans.
func (t *traces) Tracer() spans.Tracer {
	if t.queue == nil {
		return nil
	}
	return t
}

// Sample samples by the rule from the next trace on.
func (t *traces) Sample(s Sampling) {
	if t.sampler.set(s) {
		t.queue.log.Warn("telemetry", "warning", "OTEL_TRACES_SAMPLER is ignored, for the config sets telemetry.sample_ratio; leave one of them out")
	}
}

// count has the meter count what became of spans: exported, failed, or dropped because there was no room. An exchange that was
// not recorded for want of room counts as one.
func (t *traces) count(m metric.Meter) error {
	if t.queue == nil {
		return nil
	}
	result := func(r string) metric.ObserveOption {
		return metric.WithAttributes(attribute.String(semconv.LabelResult, r))
	}
	exported, failed, dropped := result("exported"), result("failed"), result("dropped")
	_, err := m.Int64ObservableCounter(semconv.MetricSpans, metric.WithDescription("Spans by what became of them."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(t.queue.exported.Load(), exported)
			o.Observe(t.queue.failed.Load(), failed)
			o.Observe(t.queue.dropped.Load(), dropped)
			return nil
		}))
	return err
}

// patience is how long the end waits for the last spans and metrics to leave.
const patience = 5 * time.Second

func (t *traces) close(ctx context.Context) {
	if t.queue == nil {
		return
	}
	if err := t.queue.close(ctx); err != nil {
		t.queue.log.WarnContext(ctx, "the last spans were not exported", "error", err)
	}
}
