package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api"
)

// millis returns d in milliseconds, rounded to a thousandth.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// access writes the exchange's log line; of successful exchanges, that share of the lines.
func (s *Server) access(ctx context.Context, x *core.Exchange, ratio float64) {
	level, outcome := slog.LevelInfo, x.Outcome.Name()
	if outcome == "refused" && x.Outcome.Stage == authStage {
		return // auth writes a line of its own
	}
	switch {
	case outcome == "failed":
		level = slog.LevelWarn
	case outcome == "ok" && ratio < 1 && rand.Float64() >= ratio:
		return
	}
	if !s.options.Log.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 20), // the most important first
		slog.Int("status", x.Outcome.Status), slog.String("outcome", outcome),
		slog.Float64("ms", millis(x.Outcome.Duration)), slog.String("user", x.UserID()))
	if x.Model != nil {
		attrs = append(attrs, slog.String("model", x.Model.Name))
	}
	if a := x.Last(); a != nil {
		attrs = append(attrs, slog.String("provider", a.Backend.Upstream.Provider.ID), slog.String("provider_model", a.Backend.Upstream.Model),
			slog.String("strategy", a.PickedBy), slog.Int("attempts", len(x.Attempts)), slog.Float64("backend_ms", millis(a.Ended.Sub(a.Began))))
		if who := failed(x); who != "" {
			attrs = append(attrs, slog.String("failed", who))
		}
		if ttft := a.TTFT(); ttft > 0 {
			attrs = append(attrs, slog.Float64("ttft_ms", millis(ttft)))
		}
		if u := a.Usage; u != (api.Usage{}) {
			attrs = append(attrs, slog.Int("input_tokens", int(u.InputTokens)), slog.Int("output_tokens", int(u.OutputTokens)))
		}
	}
	attrs = append(attrs, slog.String("route", x.Operation.Route()), slog.String("request_id", x.ID))
	if x.Outcome.Err != nil {
		attrs = append(attrs, slog.String("stage", x.Outcome.Stage), slog.String("error", core.Describe(x.Outcome.Err)))
	}
	if of := trace.SpanContextFromContext(ctx); of.IsValid() { // else the logger adds it, and copies all others
		attrs = append(attrs, slog.String("trace_id", of.TraceID().String()))
	}
	s.options.Log.LogAttrs(context.Background(), level, "exchange", attrs...)
}

// failed returns the failed attempts, each with its provider and the kind of failure, such as "one:402,two:timeout"; "" if none failed.
func failed(x *core.Exchange) string {
	var all []string
	for _, a := range x.Attempts {
		if a.Failure != nil {
			all = append(all, a.Backend.Upstream.Provider.ID+":"+a.Failure.Kind())
		}
	}
	return strings.Join(all, ",")
}
