package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core/telemetry/names"
)

// traces are a process's tracer, and the way of its spans to where the OTEL_* variables say. The zero value makes none.
type traces struct {
	provider *sdktrace.TracerProvider
	sampler  *sampler
	queue    *queue
}

func (t *traces) start(ctx context.Context, o Options) error {
	if !exporting("TRACES") {
		return nil
	}
	exporter, err := newExporter(ctx)
	if err != nil || autoexport.IsNoneSpanExporter(exporter) {
		return err
	}
	of, err := describe(ctx, o)
	if err != nil {
		return err
	}
	t.queue = newQueue(exporter, o.Log)
	t.sampler = &sampler{}
	t.sampler.set(o.Sampling)
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithResource(of), sdktrace.WithSampler(t.sampler),
		sdktrace.WithSpanProcessor(newTail(t.queue, func() Sampling { return t.sampler.now.Load().Sampling })),
	)
	return nil
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
		resource.WithAttributes(names.ServiceName.String(o.Service), names.ServiceVersion.String(o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Tracer returns the gateway's tracer; nil if nobody wants spans.
func (t *traces) Tracer() trace.Tracer {
	if t.provider == nil {
		return nil
	}
	return tracer{t.provider.Tracer(scope), t.queue}
}

// Sample samples by the rule from the next trace on.
func (t *traces) Sample(s Sampling) {
	if t.sampler != nil {
		t.sampler.set(s)
	}
}

// count has the meter count what became of spans: exported, failed, or dropped because there was no room. An exchange that was
// not recorded for want of room counts as one.
func (t *traces) count(m metric.Meter) error {
	if t.provider == nil {
		return nil
	}
	result := func(r string) metric.ObserveOption {
		return metric.WithAttributes(attribute.String(names.LabelResult, r))
	}
	exported, failed, dropped := result("exported"), result("failed"), result("dropped")
	_, err := m.Int64ObservableCounter(names.MetricSpans, metric.WithDescription("Spans by what became of them."),
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
	if t.provider == nil {
		return
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		t.queue.log.WarnContext(ctx, "the last spans were not exported", "error", err)
	}
}
