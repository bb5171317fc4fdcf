package gateway

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/upstream"
)

// noteHealth logs and counts a change of health of an upstream or a provider.
func (g *Gateway) noteHealth(c upstream.Change) {
	level := slog.LevelWarn
	if c.Status == upstream.Healthy || c.Status == upstream.Probing {
		level = slog.LevelInfo
	}
	if c.Source != (upstream.Source{}) {
		g.parts.Log.LogAttrs(context.Background(), level, "backend health", slog.String("provider", c.Provider), slog.String("provider_model", c.Model),
			slog.String("user", c.Source.User), slog.String("path", c.Source.Path), slog.String("state", c.Status.String()), slog.String("reason", c.Reason))
		return // others are not affected
	}
	what, attrs := "provider health", []slog.Attr{slog.String("provider", c.Provider)}
	labels := []attribute.KeyValue{attribute.String(semconv.Provider, c.Provider), attribute.String(semconv.LabelState, c.Status.String())}
	if c.Model != "" {
		what, attrs = "backend health", append(attrs, slog.String("provider_model", c.Model))
		labels = append(labels, attribute.String(semconv.ProviderModel, c.Model))
	}
	ctx := context.Background()
	attrs = append(attrs, slog.String("state", c.Status.String()))
	if c.Reason != "" {
		attrs = append(attrs, slog.String("reason", c.Reason))
	}
	g.parts.Log.LogAttrs(ctx, level, what, attrs...)
	g.counters.health.Add(ctx, 1, metric.WithAttributes(labels...))
}

// checkHealth checks every provider at once and then at the config's interval, until ctx is done.
func (g *Gateway) checkHealth(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	due := map[*upstream.Provider]time.Time{}
	for {
		var next time.Time
		due, next = g.startChecks(ctx, &checks, due, time.Now())
		wait := time.NewTimer(time.Until(next))
		select {
		case <-wait.C:
		case <-g.swapped:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		wait.Stop()
	}
}

// startChecks starts the checks that are due at now. It returns when each provider's next one is due, and the earliest of these.
func (g *Gateway) startChecks(ctx context.Context, checks *sync.WaitGroup, due map[*upstream.Provider]time.Time, now time.Time) (map[*upstream.Provider]time.Time, time.Time) {
	s := g.Acquire()
	defer s.Release()
	policy := policy(s.Config)
	interval := config.Seconds(s.Config.Settings.HealthCheckIntervalSeconds)
	first := now.Add(interval)
	jitter := interval / 5 // so that several gateways do not call at once
	// A provider's next check starts after the previous one has ended.
	timeout := min(interval-jitter, config.Seconds(s.Config.Settings.HealthCheckTimeoutSeconds))
	later := map[*upstream.Provider]time.Time{}
	for _, e := range s.providers {
		if !e.config.HealthCheck {
			continue
		}
		at, known := due[e.live]
		if next := now.Add(interval); at.After(next) { // the interval was shortened
			at = next
		}
		if !known || !at.After(now) {
			at = now.Add(interval - rand.N(jitter))
			s.references.Add(1) // released by the check
			checks.Go(func() {
				defer s.Release()
				g.check(ctx, e, timeout, policy)
			})
		}
		if at.Before(first) {
			first = at
		}
		later[e.live] = at
	}
	return later, first
}

// check fetches the provider's list of models and records the result.
func (g *Gateway) check(ctx context.Context, e endpoint, timeout time.Duration, policy upstream.Policy) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	limited, of := spans.Begin(limited, g.parts.Tracer, semconv.SpanHealthCheck, trace.SpanKindClient, began)
	defer of.End()
	r := &http.Request{
		Method: http.MethodGet, Header: http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"berry"}},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	e.adapter.Check(r)
	core.Propagate(limited, r.Header)
	response, err := e.live.Transport.RoundTrip(r.WithContext(limited))
	status := 0
	if err == nil {
		status = response.StatusCode
		const most = 1 << 20
		_, _ = io.CopyN(io.Discard, response.Body, most) // to reuse the connection
		_ = response.Body.Close()
	}
	if ctx.Err() == nil { // the gateway is not closing
		route.Checked(e.live, status, err, began, time.Now(), policy)
	}
	explainCheck(of.Root(), e, r.URL, status, err)
}
