package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// longestLine is where a guest's log line is cut, in bytes.
const longestLine = 1024

// hostLog is berry.log(level, ptr, len). Text outside the guest's memory is a trap.
func hostLog(ctx context.Context, m api.Module, stack []uint64) {
	in, ok := ctx.Value(instanceKey{}).(*instance)
	if !ok {
		panic(errors.New("berry.log called outside an instance"))
	}
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
	in.log.Log(in.ctx, level, strings.ToValidUTF8(string(line), "�"))
}

// A lineWriter turns what a guest prints into log lines.
type lineWriter struct {
	in   *instance
	held []byte // the beginning of a line
}

func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		w.held = append(w.held, line[:min(len(line), longestLine-len(w.held))]...)
		if ended {
			if len(w.held) > 0 {
				w.in.print(slog.LevelInfo, w.held)
			}
			w.held = w.held[:0]
		}
		rest = after
	}
	return len(p), nil
}

// A randomReader gives the guest numbers that follow from the query alone.
type randomReader struct{ in *instance }

func (r randomReader) Read(p []byte) (int, error) {
	var word [8]byte
	for n := 0; n < len(p); {
		binary.LittleEndian.PutUint64(word[:], r.in.random.Uint64())
		n += copy(p[n:], word[:])
	}
	return len(p), nil
}

// firstLine cuts the stack trace that wazero appends to an error; the trace names a guest's functions, which tell its
// author more in a test than an operator in a log.
func firstLine(err error) error {
	line, _, cut := strings.Cut(err.Error(), "\n")
	if !cut {
		return err
	}
	return guestError{strings.TrimSuffix(line, " (recovered by wazero)"), err}
}

type guestError struct {
	line string
	err  error
}

func (e guestError) Error() string { return e.line }
func (e guestError) Unwrap() error { return e.err }
