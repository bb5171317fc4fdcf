package wasm

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
	"github.com/berrygate/berry/strategies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func engine(t testing.TB) *Engine {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(context.Background(), filepath.Join(cache, "berry"), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func load(t testing.TB, e *Engine, module []byte) *Strategy {
	t.Helper()
	s, err := e.Load(context.Background(), Source{Name: "mine", Module: module})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func candidates(n int) *abi.Query {
	return &abi.Query{Model: "m", Candidates: make([]abi.Candidate, n)}
}

// A module that is no strategy is refused when it is loaded, with its name and the reason.
func TestRefusals(t *testing.T) {
	e := engine(t)
	for what, test := range map[string]struct {
		module []byte
		config string
		is     error
		says   string
	}{
		"text":               {[]byte("no module at all"), "", ErrGuest, "malformed or unsupported WebAssembly: at byte 0x0: it does not begin as a core module does"},
		"truncated":          {good().bytes()[:40], "", ErrGuest, "wasm: compile mine"},
		"no memory":          {(&guest{noMemory: true, funcs: good().funcs}).bytes(), "", ErrGuest, `exports no memory named "memory"`},
		"no berry_select":    {good().without("berry_select").bytes(), "", ErrGuest, "exports no function berry_select (i32) -> i32"},
		"no berry_abi":       {good().without("berry_abi").bytes(), "", ErrGuest, "exports no function berry_abi () -> i32"},
		"no berry_buffer":    {good().without("berry_buffer").bytes(), "", ErrGuest, "exports no function berry_buffer (i32) -> i32"},
		"wrong signature":    {good().with(function{"berry_select", 2, 1, i32(0)}).bytes(), "", ErrGuest, "its berry_select is (i32, i32) -> i32; it must be (i32) -> i32"},
		"wrong initialize":   {good().with(function{"_initialize", 0, 1, i32(0)}).bytes(), "", ErrGuest, "its _initialize is () -> i32; it must be ()"},
		"ABI version 2":      {good().with(function{"berry_abi", 0, 1, i32(2)}).bytes(), "", ErrGuest, "it speaks ABI version 2; this gateway speaks 1"},
		"foreign import":     {(&guest{imports: []imported{{"env", "anything", 0, 0}}, funcs: good().funcs}).bytes(), "", ErrGuest, "it imports env.anything; a strategy may import"},
		"unknown in berry":   {(&guest{imports: []imported{{"berry", "shout", 0, 0}}, funcs: good().funcs}).bytes(), "", ErrGuest, "it imports berry.shout"},
		"mistyped log":       {(&guest{imports: []imported{{"berry", "log", 1, 0}}, funcs: good().funcs}).bytes(), "", ErrGuest, "it imports berry.log as (i32); it is (i32, i32, i32)"},
		"trap at start":      {good().with(function{"_initialize", 0, 0, unreachable}).bytes(), "", ErrFault, "_initialize: wasm error: unreachable"},
		"trap in self-check": {good().with(function{"berry_select", 1, 1, unreachable}).bytes(), "", ErrFault, "self-check: fault: berry_select: wasm error: unreachable"},
		"index out of range": {good().with(function{"berry_select", 1, 1, i32(3)}).bytes(), "", ErrFault, "berry_select returned 3 of 3 candidates"},
		"negative index":     {good().with(function{"berry_select", 1, 1, i32(-2)}).bytes(), "", ErrFault, "berry_select returned -2 of 3 candidates"},
		"no buffer":          {good().with(function{"berry_buffer", 1, 1, i32(0)}).bytes(), "", ErrFault, "berry_buffer(2) refused"},
		"crooked buffer":     {good().with(function{"berry_buffer", 1, 1, i32(1028)}).bytes(), "", ErrFault, "which is no multiple of 8"},
		"buffer outside":     {good().with(function{"berry_buffer", 1, 1, i32(17 * 65536)}).bytes(), "", ErrFault, "lies outside its memory"},
		"stateful but deaf":  {good().with(function{"berry_abi", 0, 1, i32(1 | 1<<16)}).bytes(), "", ErrGuest, "it is stateful but exports no berry_observe"},
		"config for nothing": {good().bytes(), `{"a":1}`, ErrRefused, "it exports no berry_configure and takes none"},
		"config refused":     {good().with(function{"berry_configure", 1, 1, i32(3)}).bytes(), `{"a":1}`, ErrRefused, `refuses its config: {"a`},
		"refusal that lies":  {good().with(function{"berry_configure", 1, 1, i32(-1)}).bytes(), "", ErrRefused, "says why outside its buffer"},
	} {
		_, err := e.Load(context.Background(), Source{Name: "mine", Module: test.module, Config: []byte(test.config)})
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "mine") {
			t.Errorf("%s: %v; want %q", what, err, test.says)
		}
	}
	if len(e.modules) != 0 {
		t.Errorf("%d refused modules are still held", len(e.modules))
	}
}

func TestNoneIsNoFault(t *testing.T) {
	s := load(t, engine(t), good().with(function{"berry_select", 1, 1, i32(-1)}).bytes())
	if i, err := index(s.Select(context.Background(), candidates(2))); i != abi.None || err != nil {
		t.Errorf("%d, %v", i, err)
	}
}

// A fault costs the instance its life and nothing else: the next pick is made by a new one.
func TestFaultReplacesTheInstance(t *testing.T) {
	// Picks the byte at address 0 of its own memory, then raises it by one: fine once for one candidate, a fault after that.
	code := append(i32(0), append(i32(0), 0x28, 0x02, 0x00)...) // i32.const 0, i32.const 0, i32.load: address and value
	code = append(code, append(i32(1), 0x6a, 0x36, 0x02, 0x00)...)
	code = append(code, append(i32(0), 0x28, 0x02, 0x00)...)
	code = append(code, append(i32(1), 0x6b)...) // i32.const 1, i32.sub: the value before
	e := engine(t)
	s := load(t, e, good().with(function{"berry_select", 1, 1, code}).bytes())
	ctx, one := context.Background(), candidates(1)
	faults, picks := 0, 0
	for range 20 * runtime.GOMAXPROCS(0) {
		switch i, err := index(s.Select(ctx, one)); {
		case errors.Is(err, ErrFault):
			faults++
		case errors.Is(err, core.ErrUnavailable):
		case err != nil || i != 0:
			t.Fatalf("%d, %v", i, err)
		default:
			picks++
		}
	}
	if faults == 0 || picks == 0 {
		t.Errorf("%d faults, %d picks; want some of each", faults, picks)
	}
	s.rebuilds.Wait()
	if n := s.alive.Load(); int(n) != cap(s.free) {
		t.Errorf("%d instances of %d are alive", n, cap(s.free))
	}
	if len(s.free) != cap(s.free) {
		t.Errorf("%d instances of %d are left", len(s.free), cap(s.free))
	}
}

// Two strategies of the same bytes share their code, and closing one does not hurt the other.
func TestSharedModule(t *testing.T) {
	e, ctx := engine(t), context.Background()
	a := load(t, e, good().bytes())
	b, err := e.Load(ctx, Source{Name: "twin", Module: good().bytes()})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.modules) != 1 || a.Digest != b.Digest {
		t.Errorf("%d modules for the same bytes", len(e.modules))
	}
	if err := b.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Select(ctx, candidates(1)); err != nil {
		t.Error(err)
	}
}

// What a guest logs stands in the gateway's log, under its name.
func TestGuestLog(t *testing.T) {
	var out strings.Builder
	e, err := NewEngine(context.Background(), "", slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	g := good()
	g.imports = []imported{{"berry", "log", 3, 0}}
	// Stores "hey" at 0 and logs it as a warning: i32.store, then call 0 (berry.log).
	code := append(i32(0), append(i32('h'|'e'<<8|'y'<<16), 0x36, 0x02, 0x00)...)
	code = append(code, append(append(append(i32(2), i32(0)...), i32(3)...), 0x10, 0x00)...)
	s := load(t, e, g.with(function{"berry_select", 1, 1, append(code, i32(0)...)}).bytes())
	if _, err := s.Select(context.Background(), candidates(1)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `level=WARN msg="mine: hey" strategy=mine`) {
		t.Error(out.String())
	}
	outside := good()
	outside.imports = g.imports
	code = append(append(append(append(i32(2), i32(17*65536)...), i32(3)...), 0x10, 0x00), i32(0)...)
	if _, err := e.Load(context.Background(), Source{Name: "mine", Module: outside.with(function{"berry_select", 1, 1, code}).bytes()}); !errors.Is(err, ErrFault) {
		t.Errorf("text outside the memory: %v", err)
	}
}

// A guest that writes without end fills no log: a number of lines at once, and later on how many were left out.
func TestGuestLogIsLimited(t *testing.T) {
	var out strings.Builder
	g := newGuestLog(slog.New(slog.NewTextHandler(&out, nil)), "chatty")
	for range 1000 {
		g.print(t.Context(), slog.LevelInfo, []byte("hey"))
	}
	if n := strings.Count(out.String(), "chatty: hey"); n < linesAtOnce || n > 2*linesAtOnce {
		t.Errorf("%d lines", n)
	}
	for !g.limit.Allow() { // a tenth of a second
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	g.print(t.Context(), slog.LevelInfo, []byte("again"))
	if !strings.Contains(out.String(), "lines left out; it writes more than 10 a second") || !strings.Contains(out.String(), "chatty: again") {
		t.Error(out.String())
	}
}

// A stateful strategy has one instance, and is told how attempts end.
func TestStateful(t *testing.T) {
	// berry_observe keeps the outcome's candidate id, whose low half stands at the buffer's begin; berry_select returns it.
	observe := append(append(i32(0), append(i32(1024), 0x28, 0x02, 0x00)...), 0x36, 0x02, 0x00)
	pick := append(i32(0), 0x28, 0x02, 0x00)
	s := load(t, engine(t), good().with(function{"berry_abi", 0, 1, i32(1 | 1<<16)}).
		with(function{"berry_observe", 1, 0, observe}).with(function{"berry_select", 1, 1, pick}).bytes())
	ctx := context.Background()
	if !s.Stateful || cap(s.free) != 1 {
		t.Errorf("stateful %v, %d instances", s.Stateful, cap(s.free))
	}
	if err := s.Learn(ctx, &abi.Outcome{Candidate: 2}); err != nil {
		t.Fatal(err)
	}
	if i, err := index(s.Select(ctx, candidates(3))); i != 2 || err != nil {
		t.Errorf("%d, %v", i, err)
	}
}

// What a guest learns is no trial: one that cannot pick stays in quarantine.
func TestLearningIsNoTrial(t *testing.T) {
	s := load(t, engine(t), good().with(function{"berry_abi", 0, 1, i32(1 | 1<<16)}).with(function{"berry_observe", 1, 0, nil}).bytes())
	for range faultLimit {
		s.quarantine.fault(time.Now().Add(-firstBackoff), trapped, false)
	}
	if err := s.Learn(t.Context(), &abi.Outcome{}); !errors.Is(err, core.ErrUnavailable) || s.Standing(time.Now()).Serving {
		t.Errorf("%v, %+v", err, s.Standing(time.Now()))
	}
	if i, err := index(s.Select(t.Context(), candidates(1))); i != 0 || err != nil || !s.Standing(time.Now()).Serving {
		t.Errorf("the trial: %d, %v, %+v", i, err, s.Standing(time.Now()))
	}
}

// Many goroutines share the few instances; blocks of all sizes pass without mixing.
func TestHammer(t *testing.T) {
	module, err := strategies.Module("failover")
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, engine(t), module)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := 1; n <= 60; n++ {
				q := candidates(n)
				for i := range q.Candidates {
					q.Candidates[i] = abi.Candidate{Priority: int32(i + 1), Tags: strings.Repeat("t", worker)}
				}
				want := (worker + n) % n
				q.Candidates[want].Priority = 0
				if i, err := index(s.Select(context.Background(), q)); i != want || err != nil {
					t.Errorf("%d candidates: %d, %v; want %d", n, i, err, want)
				}
			}
		})
	}
	all.Wait()
}

func TestCacheFolderOfOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEngine(context.Background(), dir, slog.Default()); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Error(err)
	}
}

func BenchmarkSelect(b *testing.B) {
	for _, count := range []int{8, 64} {
		b.Run("candidates="+strconv.Itoa(count), func(b *testing.B) {
			module, err := strategies.Module("weighted_random")
			if err != nil {
				b.Fatal(err)
			}
			s := load(b, engine(b), module)
			q := candidates(count)
			for i := range q.Candidates {
				q.Candidates[i] = abi.Candidate{Weight: 1, Provider: "openai-main", ProviderModel: "gpt-4o-mini"}
			}
			b.ReportAllocs()
			for b.Loop() {
				q.Random += 1 << 60
				if _, err := s.Select(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// index returns the index of a pick.
func index(p core.Pick, err error) (int, error) { return p.Index, err }
