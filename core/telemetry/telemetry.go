// Package telemetry sets up observability: traces and metrics through OpenTelemetry, exported as its standard variables say, a page of
// metrics for Prometheus, and logs. README.md lists every name.
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

// Options describe the service.
type Options struct {
	Service, Version string
	Sampling         Sampling
	Log              *slog.Logger // for failed exports
}

// A Telemetry is a process's tracer and meter, and their exporters. The zero value is switched off; after Start, it is safe for concurrent
// use.
type Telemetry struct {
	traces
	metrics
}

// Start sets up what the OTEL_* variables ask for, and the page of metrics unless OTEL_SDK_DISABLED is true. It fails if a variable is
// invalid. The caller must Close it.
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

// Close exports the remaining spans and metrics, with a timeout of a few seconds.
func (t *Telemetry) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { t.traces.close(ctx) })
	both.Go(func() { t.metrics.close(ctx) })
	both.Wait()
}

// NewLogger returns a logger of lines from level up to w: JSON, or human-readable lines if w is a terminal. Lines within a trace have its
// id. To change the level later, pass a *slog.LevelVar.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	var h slog.Handler = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		h = tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly})
	}
	return slog.New(traced{h})
}

// traced adds the trace id of the context to each line.
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
