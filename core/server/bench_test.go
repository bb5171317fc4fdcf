package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/berrygate/berry/internal/gatewaytest"
)

// BenchmarkExchange measures sequential exchanges through sockets, with client, gateway and provider in one process. make bench-gateway measures
// the gateway alone under load.
func BenchmarkExchange(b *testing.B) {
	for name, stream := range map[string]string{"plain": "false", "streamed": "true"} {
		b.Run(name, func(b *testing.B) {
			g := gatewaytest.Start(b, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(b, fake())), gatewaytest.Model("m", "weighted_random", "p")))
			body := `{"model":"m","stream":` + stream + `,"messages":[{"role":"user","content":"` + strings.Repeat("lorem ipsum ", 80) + `"}]}`
			b.ReportAllocs()
			for b.Loop() {
				response, text := gatewaytest.Read(b, g.Post(b, "/v1/chat/completions", body))
				if response.StatusCode != http.StatusOK {
					b.Fatal(text)
				}
			}
		})
	}
}

// BenchmarkTelemetry measures an exchange with telemetry off, with metrics only, and with metrics and all spans. Compare the differences: each
// includes the cost of client and provider.
func BenchmarkTelemetry(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(collector.Close)
	for _, way := range []struct{ name, variable, value string }{
		{"off", "OTEL_SDK_DISABLED", "true"},
		{"metrics", "OTEL_TRACES_EXPORTER", "none"},
		{"all spans", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.URL},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.Setenv(way.variable, way.value)
			b.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "32768")
			g := gatewaytest.Start(b, gatewaytest.Config(gatewaytest.Provider("p", gatewaytest.Serve(b, fake())), gatewaytest.Model("m", "weighted_random", "p")))
			b.ReportAllocs()
			for b.Loop() {
				if response, text := gatewaytest.Read(b, g.Post(b, "/v1/chat/completions", `{"model":"m","messages":[]}`)); response.StatusCode != http.StatusOK {
					b.Fatal(text)
				}
			}
		})
	}
}
