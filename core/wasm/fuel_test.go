package wasm

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/berrygate/berry/internal/guesttest"
	"github.com/berrygate/berry/sdk/abi"
	"github.com/berrygate/berry/strategies"
)

// noFuel stands in for the fuel of a guest that is not metered.
type noFuel struct{ api.MutableGlobal }

func (noFuel) Get() uint64 { return 1 << 40 }
func (noFuel) Set(uint64)  {}

// bare returns an instance of the module as it is, without fuel.
func bare(tb testing.TB, config wazero.RuntimeConfig, bytes []byte) *instance {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(api.CoreFeaturesV2))
	tb.Cleanup(func() { _ = r.Close(context.WithoutCancel(ctx)) })
	i32 := api.ValueTypeI32
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		tb.Fatal(err)
	}
	log := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
	if _, err := r.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().WithGoModuleFunction(log, []api.ValueType{i32, i32, i32}, nil).
		Export(abi.ImportLog).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	compiled, err := r.CompileModule(ctx, bytes)
	if err != nil {
		tb.Fatal(err)
	}
	linear, err := newLinearMemory(DefaultMemory)
	if err != nil {
		tb.Fatal(err)
	}
	in := &instance{linear: linear, fuel: noFuel{}, log: newGuestLog(slog.New(slog.NewTextHandler(io.Discard, nil)), "bare")}
	in.ctx = context.WithValue(ctx, instanceKey{}, in)
	if in.module, err = r.InstantiateModule(experimental.WithMemoryAllocator(in.ctx, linear), compiled, in.moduleConfig()); err != nil {
		tb.Fatal(err)
	}
	if err := in.start([]byte("{}")); err != nil {
		tb.Fatal(err)
	}
	return in
}

// guests returns the built-in strategies, and what an operator wrote.
func guests(tb testing.TB) map[string][]byte {
	tb.Helper()
	out := map[string][]byte{"cheapest": guesttest.Go(tb, "../../examples/cheapest")}
	for _, name := range strategies.Names() {
		b, err := strategies.Module(name)
		if err != nil {
			tb.Fatal(err)
		}
		out[name] = b
	}
	return out
}

// random fills q with n candidates about which anything may be known.
func random(r *rand.Rand, n int) *abi.Query {
	q := &abi.Query{
		Attempt: r.Uint32N(3), Seq: r.Uint64(), Random: r.Uint64(), Now: r.Int64(), MaxTokens: r.Uint32N(2) * 100, Flags: r.Uint32N(2), Affinity: r.Uint64(), Prefix: r.Uint64(),
		Model: text(r), User: text(r), UserTags: text(r), Candidates: make([]abi.Candidate, n),
	}
	for i := range q.Candidates {
		q.Candidates[i] = abi.Candidate{
			ID: r.Uint64(), Weight: r.Float64() * 3, Priority: int32(r.IntN(4)), InFlight: r.Uint32N(20), Samples: r.Uint32N(3) * 10,
			LatencyMS: r.Float64() * 1000, TTFTMS: r.Float64() * 100, Success: r.Float64(), LastFailure: r.Int64(), CostInput: r.Float64(), CostOutput: r.Float64(),
			Failures: r.Uint32N(5), Provider: text(r), ProviderModel: text(r), Tags: text(r), Streamed: timing(r, q.Now), Plain: timing(r, q.Now),
		}
	}
	return q
}

// timing is of anything between nothing and much.
func timing(r *rand.Rand, now int64) abi.Timing {
	t := abi.Timing{Misses: r.Uint32N(3) * 4}
	if r.IntN(4) > 0 {
		t.MS, t.TokenMS, t.LastSuccess, t.Samples = r.Float64()*1000, r.Float64()*30, now-r.Int64N(1e12), 1+r.Uint32N(20)
	}
	return t
}

func text(r *rand.Rand) string { return "abcdefghij,klmnop"[:r.IntN(17)] }

// A metered guest picks what it picks unmetered, whatever it is asked. (BERRY_SOAK=1 asks 100,000 times.)
func TestMeteredPicksAreTheSame(t *testing.T) {
	blocks := 400
	if os.Getenv("BERRY_SOAK") != "" {
		blocks = 100_000
	}
	e := engine(t)
	for name, bytes := range guests(t) {
		t.Run(name, func(t *testing.T) {
			s, plain := load(t, e, bytes), bare(t, wazero.NewRuntimeConfig(), bytes)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range blocks {
				q := random(r, 1+r.IntN(12))
				got, err := index(s.Select(t.Context(), q))
				want, errPlain := plain.query(q, 0)
				if got != want || err != nil || errPlain != nil {
					t.Fatalf("block %d: metered %d, %v; unmetered %d, %v", i, got, err, want, errPlain)
				}
			}
		})
	}
}

// The same block costs the same fuel each time, in every instance, however busy the machine is.
func TestFuelIsDeterministic(t *testing.T) {
	e := engine(t)
	for name, bytes := range guests(t) {
		t.Run(name, func(t *testing.T) {
			s := load(t, e, bytes)
			r := rand.New(rand.NewPCG(3, 4))
			var queries []*abi.Query
			var price []int64
			one := <-s.free
			largest := random(r, 64) // so that no buffer has to grow later on
			for range 50 {
				queries = append(queries, random(r, 1+r.IntN(12)))
			}
			ask := func(in *instance, q *abi.Query) int64 {
				if _, err := in.query(q, DefaultFuel); err != nil {
					t.Error(err)
				}
				return in.burned
			}
			ask(one.in, largest)
			for _, q := range queries {
				price = append(price, ask(one.in, q))
			}
			s.free <- one
			var all sync.WaitGroup
			for range 4 * runtime.GOMAXPROCS(0) {
				all.Go(func() {
					for range 4 {
						sl := <-s.free
						ask(sl.in, largest)
						for i, q := range queries {
							if got := ask(sl.in, q); got != price[i] {
								t.Errorf("block %d costs %d, and %d before", i, got, price[i])
							}
						}
						s.free <- sl
					}
				})
			}
			all.Wait()
		})
	}
}

// However many candidates there are, a built-in strategy stays far below the fuel that it has.
func TestFuelOfManyCandidates(t *testing.T) {
	e := engine(t)
	for name, bytes := range guests(t) {
		in := (<-load(t, e, bytes).free).in
		for _, n := range []int{8, 100} {
			r, most := rand.New(rand.NewPCG(7, 8)), int64(0)
			for range 50 {
				if _, err := in.query(random(r, n), DefaultFuel); err != nil {
					t.Fatal(err)
				}
				most = max(most, in.burned)
			}
			t.Logf("%s among %d: %d at most", name, n, most)
			if most > DefaultFuel/4 {
				t.Errorf("%s burns %d among %d, want at most a quarter of %d", name, most, n, int64(DefaultFuel))
			}
		}
	}
}

// What it costs to contain a standard-Go guest that picks among 8: by fuel, and by what wazero has for it.
func BenchmarkContainment(b *testing.B) {
	q := random(rand.New(rand.NewPCG(5, 6)), 8)
	all := guests(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		bytes := all[name]
		pick := func(b *testing.B, in *instance) {
			block, err := in.buffer(abi.Size(q))
			if err != nil {
				b.Fatal(err)
			}
			n := uint64(abi.Encode(block, q))
			b.ReportAllocs()
			for b.Loop() {
				in.fill(DefaultFuel)
				if _, err := in.call(in.pick, abi.ExportSelect, n); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(name+"/unmetered", func(b *testing.B) { pick(b, bare(b, wazero.NewRuntimeConfig(), bytes)) })
		b.Run(name+"/metered", func(b *testing.B) { pick(b, (<-load(b, engine(b), bytes).free).in) })
		b.Run(name+"/CloseOnContextDone", func(b *testing.B) {
			pick(b, bare(b, wazero.NewRuntimeConfig().WithCloseOnContextDone(true), bytes))
		})
	}
}
