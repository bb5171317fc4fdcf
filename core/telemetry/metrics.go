package telemetry

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// scope is the instrumentation scope of Berry's instruments and spans.
const scope = "github.com/berrygate/berry"

// metrics are a process's meters, the page for Prometheus, and the exporters that the OTEL_* variables select. The zero value records
// nothing.
type metrics struct {
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	log      *slog.Logger
}

func (m *metrics) start(ctx context.Context, o Options) error {
	m.log, m.registry = o.Log, prometheus.NewRegistry()
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if disabled() {
		return nil
	}
	page, err := otelprometheus.New(otelprometheus.WithRegisterer(m.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return err
	}
	of, err := describe(ctx, o)
	if err != nil {
		return err
	}
	// The SDK's limit of label sets would merge series of a config with many users or backends, others in each scrape. Their number is
	// bounded without it: no label value comes from a client or a provider. (README.md)
	options := []sdkmetric.Option{sdkmetric.WithReader(page), sdkmetric.WithResource(of), sdkmetric.WithCardinalityLimit(0)}
	if exporting("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	m.provider = sdkmetric.NewMeterProvider(options...)
	return nil
}

// Meter returns the gateway's meter.
func (m *metrics) Meter() metric.Meter {
	if m.provider == nil {
		return noop.Meter{}
	}
	return m.provider.Meter(scope)
}

// Handler returns the page for Prometheus, after Start. It has exemplars, which link to traces, if the client asks for OpenMetrics.
func (m *metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: true})
}

func (m *metrics) close(ctx context.Context) {
	if m.provider == nil {
		return
	}
	if err := m.provider.Shutdown(ctx); err != nil {
		m.log.WarnContext(ctx, "the last metrics were not exported", "error", err)
	}
}
