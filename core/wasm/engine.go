// Package wasm runs strategies: WebAssembly guests that pick a backend. A Strategy is a core.Selector.
//
// A guest has nothing but the block that the host writes: no files, no sockets, no clock and no randomness of its own. So its instances are
// interchangeable, and the same block always gives the same pick.
package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/berrygate/berry/core/wasm/fuel"
	"github.com/berrygate/berry/sdk/abi"
)

// The errors of this package, wrapped with the strategy's name and details.
var (
	// ErrGuest reports a module that is not a strategy: not WebAssembly, a missing or mistyped export, an unknown import, another ABI.
	ErrGuest = errors.New("not a strategy")
	// ErrRefused reports a guest that rejects its configuration.
	ErrRefused = errors.New("refuses its config")
	// ErrFault reports a guest that trapped, ran out of fuel, exited, or returned an invalid result.
	ErrFault = errors.New("fault")
)

// An Engine compiles and runs guests. A process needs one. It is safe for concurrent use.
type Engine struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	log     *slog.Logger
	imports map[string]map[string]signature // imports of guests, by module and name

	mu         sync.Mutex
	modules    map[[sha256.Size]byte]*module
	strategies map[sourceKey]*Strategy
}

// NewEngine returns an engine that caches compiled modules in cacheDir, which only its user may access: it contains native code that will be
// run. With "", compiled modules are kept in memory only. log receives the guests' output.
func NewEngine(ctx context.Context, cacheDir string, log *slog.Logger) (*Engine, error) {
	cache, err := newCache(cacheDir)
	if err != nil {
		return nil, err
	}
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesTailCall // those that can be metered
	e := &Engine{
		runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache).WithCoreFeatures(features)),
		cache:   cache, log: log,
		imports: map[string]map[string]signature{},
		modules: map[[sha256.Size]byte]*module{}, strategies: map[sourceKey]*Strategy{},
	}
	if err := e.instantiateHost(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

func newCache(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("wasm: compile cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("wasm: compile cache: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("wasm: compile cache: others can reach %s (mode %04o), which holds native code; run chmod 700 on it", dir, info.Mode().Perm())
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("wasm: compile cache: %w", err)
	}
	return cache, nil
}

// instantiateHost makes the modules that guests may import.
func (e *Engine) instantiateHost(ctx context.Context) error {
	if _, err := wasi_snapshot_preview1.Instantiate(experimental.WithFunctionListenerFactory(ctx, charges{}), e.runtime); err != nil {
		return fmt.Errorf("wasm: WASI: %w", err)
	}
	i32 := api.ValueTypeI32
	_, err := e.runtime.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(hostLog), []api.ValueType{i32, i32, i32}, nil).
		Export(abi.ImportLog).Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("wasm: host module: %w", err)
	}
	for _, name := range []string{abi.ImportModule, wasi_snapshot_preview1.ModuleName} {
		functions := map[string]signature{}
		for _, f := range e.runtime.Module(name).ExportedFunctionDefinitions() {
			for _, export := range f.ExportNames() {
				functions[export] = signatureOf(f)
			}
		}
		e.imports[name] = functions
	}
	return nil
}

// Close releases everything. No strategy may be in use.
func (e *Engine) Close(ctx context.Context) error {
	return errors.Join(e.runtime.Close(ctx), e.cache.Close(ctx))
}

// A module is a guest's compiled code, shared by all strategies with the same bytes: wazero would free shared code twice.
type module struct {
	digest   [sha256.Size]byte
	compiled wazero.CompiledModule
	fuel     string // name of the global
	users    int    // strategies; guarded by Engine.mu

	once sync.Once
	err  error
}

// Digest returns the SHA-256 of a module in hexadecimal, as in the config's sha256.
func Digest(module []byte) string {
	d := sha256.Sum256(module)
	return hex.EncodeToString(d[:])
}

// compile returns the compiled and checked module with these bytes and their digest. The caller must release it.
func (e *Engine) compile(ctx context.Context, name string, bytes []byte, digest [sha256.Size]byte) (*module, error) {
	e.mu.Lock()
	m := e.modules[digest]
	if m == nil {
		m = &module{digest: digest}
		e.modules[digest] = m
	}
	m.users++
	e.mu.Unlock()

	m.once.Do(func() {
		ctx := context.WithoutCancel(ctx) // others wait for it, too
		metered, err := fuel.Meter(bytes, startFuel)
		if err != nil {
			m.err = fmt.Errorf("%w: %w", ErrGuest, err)
			return
		}
		m.fuel = metered.Global
		if m.compiled, m.err = compile(ctx, e.runtime, metered.Bytes); m.err != nil {
			m.err = fmt.Errorf("%w: %w", ErrGuest, m.err)
			return
		}
		m.err = e.check(m.compiled)
	})
	if m.err != nil {
		return nil, errors.Join(fmt.Errorf("wasm: compile %s: %w", name, m.err), e.release(ctx, m))
	}
	return m, nil
}

// compile compiles a module. wazero panics for some invalid ones, which a fuzzer of the rewriter has found. With more workers, which would
// take 0.5 s instead of 0.8 s, it would panic in a goroutine that does not recover.
func compile(ctx context.Context, r wazero.Runtime, bytes []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("invalid: the compiler gives up: %v", p)
		}
	}()
	return r.CompileModule(ctx, bytes)
}

// release releases a module. The last user closes it.
func (e *Engine) release(ctx context.Context, m *module) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if m.users--; m.users > 0 {
		return nil
	}
	delete(e.modules, m.digest)
	if m.compiled == nil {
		return nil
	}
	return m.compiled.Close(ctx)
}
