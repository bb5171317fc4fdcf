package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
	"golang.org/x/time/rate"
)

// longestLine is the maximum length of a guest's log line, in bytes; longer ones are truncated.
const longestLine = 1024

// The maximum rate of a strategy's log lines per second, and their burst.
const (
	linesPerSecond = 10
	linesAtOnce    = 50
)

// caller returns the instance whose guest, m, calls the host.
func caller(ctx context.Context, m api.Module) *instance {
	in, ok := ctx.Value(instanceKey{}).(*instance)
	if !ok {
		panic(errors.New("the host was called outside an instance"))
	}
	if in.fuel == nil { // in a start function
		in.meter(m)
	}
	return in
}

// hostLog is berry.log(level, ptr, len). Text outside of the guest's memory is a trap.
func hostLog(ctx context.Context, m api.Module, stack []uint64) {
	in := caller(ctx, m)
	in.charge(callFuel)
	line, ok := m.Memory().Read(uint32(stack[1]), min(uint32(stack[2]), longestLine))
	if !ok {
		panic(errors.New("berry.log of text outside the memory"))
	}
	levels := [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	level := slog.LevelInfo
	if n := int(int32(stack[0])); n >= 0 && n < len(levels) {
		level = levels[n]
	}
	in.print(level, line)
}

func (in *instance) print(level slog.Level, line []byte) {
	in.charge(lineFuel)
	in.log.print(in.ctx, level, line)
}

// A guestLog is the log of one strategy's instances, with a limited rate. It is safe for concurrent use.
type guestLog struct {
	log     *slog.Logger
	name    string
	limit   *rate.Limiter
	dropped atomic.Int64
}

func newGuestLog(log *slog.Logger, name string) *guestLog {
	return &guestLog{log: log, name: name, limit: rate.NewLimiter(linesPerSecond, linesAtOnce)}
}

func (g *guestLog) print(ctx context.Context, level slog.Level, line []byte) {
	if !g.log.Enabled(ctx, level) {
		return
	}
	if !g.limit.Allow() {
		g.dropped.Add(1)
		return
	}
	if n := g.dropped.Swap(0); n > 0 {
		g.log.WarnContext(ctx, fmt.Sprintf("%s: %d lines left out; it writes more than %d a second", g.name, n, linesPerSecond), "strategy", g.name)
	}
	g.log.Log(ctx, level, g.name+": "+strings.ToValidUTF8(string(line), "�"), "strategy", g.name)
}

// A lineWriter logs the lines that a guest prints.
type lineWriter struct {
	in   *instance
	held []byte // an incomplete line
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.in.charge(int64(len(p)) / 16)
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		w.held = append(w.held, line[:min(len(line), longestLine-len(w.held))]...)
		if ended {
			w.in.charge(wordFuel)
			if len(w.held) > 0 {
				w.in.print(slog.LevelInfo, w.held)
			}
			w.held = w.held[:0]
		}
		rest = after
	}
	return len(p), nil
}

// A randomReader returns numbers that depend on the query only.
type randomReader struct{ in *instance }

func (r randomReader) Read(p []byte) (int, error) {
	var word [8]byte
	for n := 0; n < len(p); {
		binary.LittleEndian.PutUint64(word[:], r.in.random.Uint64())
		n += copy(p[n:], word[:])
	}
	return len(p), nil
}
