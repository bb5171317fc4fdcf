// Package telemetry sets up what the operator sees of the gateway: metrics by OpenTelemetry, which Prometheus can always
// scrape, and logs.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Metrics are a process's meters and their page for Prometheus. They are safe for concurrent use.
type Metrics struct {
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
}

// NewMetrics returns the metrics of a service.
func NewMetrics(service, version string) (*Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics: %w", err)
	}
	of := resource.NewSchemaless(semconv.ServiceName(service), semconv.ServiceVersion(version))
	return &Metrics{sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(of)), registry}, nil
}

// Meter returns the gateway's meter.
func (m *Metrics) Meter() metric.Meter { return m.provider.Meter("github.com/berrygate/berry") }

// Handler serves the page that Prometheus scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Close ends the metrics; nothing is recorded any more.
func (m *Metrics) Close(ctx context.Context) error { return m.provider.Shutdown(ctx) }

// NewLogger returns a logger of lines from level up to w: JSON, or lines for a person if w is a terminal.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
