package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/telemetry/semconv"
	"github.com/berrygate/berry/core/telemetry/spans"
)

// ByFile is the cause of a reload after a file has changed.
const ByFile = "file"

// A Reload is the result of one reload.
type Reload struct {
	At           time.Time `json:"at"`
	Cause        string    `json:"cause"` // start, file, SIGHUP or admin
	Result       string    `json:"result"`
	SHA256       string    `json:"config_sha256"`           // of the file; "" if it could not be read
	Errors       []string  `json:"errors,omitempty"`        // the previous config stays in use
	Warnings     []string  `json:"warnings,omitempty"`      // about the config
	NeedsRestart []string  `json:"needs_restart,omitempty"` // keys that need a restart
}

// The results of reloads.
const (
	Applied   = "applied"
	Unchanged = "unchanged"
	Failed    = "failed"
)

// Reload loads the config and all files that it names, and serves it if it has changed. It builds everything before it swaps anything; on
// any error nothing changes. Reloads run one after the other. The result is logged, and shown in the status.
func (g *Gateway) Reload(ctx context.Context, cause string) Reload {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	began := time.Now()
	l := g.parts.Load()
	defer g.watcher.Watch(l.Files)
	unchanged := maps.Equal(l.Files, g.tried)
	if cause == ByFile && !unchanged && !g.doubt.Believes(l, g.Config()) { // it may be half-written
		g.watcher.Again(config.Settle)
		return *g.last.Load()
	}
	g.doubt = config.Doubt{}
	if cause == ByFile && unchanged {
		return *g.last.Load() // no file has changed
	}
	g.tried = l.Files
	ctx, of := spans.Begin(ctx, g.parts.Tracer, semconv.SpanReload, trace.SpanKindInternal, began)
	defer of.End()
	r := Reload{At: began, Cause: cause, Result: Unchanged, SHA256: l.Digest, Warnings: texts(l.Warnings)}
	err := l.Err
	if err == nil && !maps.Equal(l.Files, g.files) {
		r.Result = Applied
		r.Warnings = append(r.Warnings, texts(l.Config.Widened(g.Config()))...)
		err = g.apply(ctx, l, of)
	}
	if err != nil {
		r.Result, r.Errors = Failed, list(err)
	} else {
		r.NeedsRestart = l.Config.NeedsRestart(g.started)
		g.forgive()
	}
	g.noteReload(ctx, r, time.Since(began))
	explainReload(of.Root(), &r)
	g.last.Store(&r)
	return r
}

// apply serves what was loaded.
func (g *Gateway) apply(ctx context.Context, l config.Loaded, of *spans.Trace) error {
	s, err := g.build(ctx, l, of)
	if err != nil {
		return err
	}
	g.files = l.Files
	if old := g.current.Swap(s); old != nil {
		old.Release()
	}
	g.decisions.Resize(l.Config.Telemetry.Decisions)
	if g.parts.Serving != nil {
		g.parts.Serving(l.Config)
	}
	select {
	case g.swapped <- struct{}{}:
	default: // the receiver has not yet noticed the previous swap
	}
	return nil
}

// forgive retries providers whose key was refused: a reload may have fixed it.
func (g *Gateway) forgive() {
	s := g.Acquire()
	defer s.Release()
	for _, p := range s.providers {
		p.live.ClearAuthFailure(time.Now())
	}
}

func (g *Gateway) noteReload(ctx context.Context, r Reload, took time.Duration) {
	g.counters.reloads.Add(ctx, 1, metric.WithAttributes(attribute.String(semconv.LabelCause, r.Cause), attribute.String(semconv.LabelResult, r.Result)))
	level, attrs := slog.LevelInfo, []any{"result", r.Result, "cause", r.Cause, "config_sha256", r.SHA256, "ms", took.Milliseconds()}
	if len(r.NeedsRestart) > 0 {
		level, attrs = slog.LevelWarn, append(attrs, "needs_restart", strings.Join(r.NeedsRestart, ", "))
	}
	if r.Result == Failed {
		level, attrs = slog.LevelError, append(attrs, "serving_sha256", g.current.Load().Digest, "error", strings.Join(r.Errors, "; "))
	}
	g.parts.Log.Log(ctx, level, "reload", attrs...)
	for _, w := range r.Warnings {
		if !slices.Contains(g.last.Load().Warnings, w) {
			g.parts.Log.WarnContext(ctx, "config", "warning", w)
		}
	}
}

func texts(ps []config.Problem) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

// list returns the messages of a joined error.
func list(err error) []string {
	var ce *config.Error
	if errors.As(err, &ce) {
		return texts(ce.Problems)
	}
	return strings.Split(err.Error(), "\n")
}
