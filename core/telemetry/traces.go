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

// heldSpans limits the spans of traces that are recorded only in case they are kept.
const heldSpans = 8192

// traces are a process's tracer, and the exporter that the OTEL_* variables select. The zero value records nothing.
type traces struct {
	sampler sampler
	queue   *queue       // nil: not exported
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

// Begin begins a trace. If there is no room for one, or it is not to be recorded, it returns nil; without room, the client's trace context
// is forwarded as if there were no tracing.
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

// Capacity reports whether there is room for another span.
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

// Ended exports the trace, if it is sampled or kept.
func (t *traces) Ended(of *spans.Trace) {
	t.queue.dropped.Add(int64(of.Dropped))
	sampled := of.Context.IsSampled()
	if !sampled {
		t.held.Add(1 - int64(len(of.Spans()))) // the first is not counted
	}
	if of.Link.IsValid() { // Detach has changed it
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

// exporting reports whether the environment enables the export of the signal, TRACES or METRICS. (autoexport would export to localhost by
// default.)
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

// disabled reports whether OTEL_SDK_DISABLED is true.
func disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// describe returns the resource of all signals. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override the config.
func describe(ctx context.Context, o Options) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName.String(o.Service), semconv.ServiceVersion.String(o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Tracer returns the gateway's tracer; nil if spans are not recorded.
func (t *traces) Tracer() spans.Tracer {
	if t.queue == nil {
		return nil
	}
	return t
}

// Sample sets the sampling for later traces.
func (t *traces) Sample(s Sampling) {
	if t.sampler.set(s) {
		t.queue.log.Warn("telemetry", "warning", "OTEL_TRACES_SAMPLER is ignored, for the config sets telemetry.sample_ratio; leave one of them out")
	}
}

// count registers counters of spans: exported, failed, or dropped for lack of room. An exchange that was not recorded for lack of room
// counts as one.
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

// patience is the timeout of the last export.
const patience = 5 * time.Second

func (t *traces) close(ctx context.Context) {
	if t.queue == nil {
		return
	}
	if err := t.queue.close(ctx); err != nil {
		t.queue.log.WarnContext(ctx, "the last spans were not exported", "error", err)
	}
}
