// Package telemetry sets up what the operator sees of the gateway: traces and metrics by OpenTelemetry, which go where its
// standard variables say, a page of metrics that Prometheus can always scrape, and logs. README.md lists every name.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
	"go.opentelemetry.io/otel/trace"
)

// Options say whose telemetry it is.
type Options struct {
	Service, Version string
	Sampling         Sampling
	Log              *slog.Logger // is told what could not be exported
}

// A Telemetry is a process's tracer and meter, and their ways out. The zero value is switched off; once it is started, it is safe
// for concurrent use.
type Telemetry struct {
	traces
	metrics
}

// Start makes the telemetry that the OTEL_* variables ask for, and the page of metrics, which is there unless
// OTEL_SDK_DISABLED is true. It fails if a variable has a value that means nothing. The caller must Close it.
func (t *Telemetry) Start(ctx context.Context, o Options) error {
	err := t.metrics.start(ctx, o)
	if err == nil {
		err = t.traces.start(ctx, o)
	}
	if err == nil {
		err = t.count(t.Meter())
	}
	if err != nil {
		t.Close(ctx)
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}

// Close exports what is left, as far as that takes no longer than a few seconds.
func (t *Telemetry) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { t.traces.close(ctx) })
	both.Go(func() { t.metrics.close(ctx) })
	both.Wait()
}

// NewLogger returns a logger of lines from level up to w: JSON, or lines for a person if w is a terminal. Lines that belong to
// a trace carry its id. A level that can change is a *slog.LevelVar.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	var h slog.Handler = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		h = tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly})
	}
	return slog.New(traced{h})
}

// traced adds to each line the trace that its context belongs to.
type traced struct{ slog.Handler }

// Handle writes the line.
func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		r.AddAttrs(slog.String("trace_id", c.TraceID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs returns the handler with the attributes in every line.
func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

// WithGroup returns the handler with later attributes in the group.
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
