package fuel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/berrygate/berry/core/wasm/fuel"
)

// plenty is more fuel than any test of the specification burns.
const plenty = math.MaxInt64 / 2

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesTailCall

// configs are wazero's two engines.
func configs() map[string]wazero.RuntimeConfig {
	return map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features),
		"interpreter": wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features),
	}
}

// The specification's own tests, which come with wazero, give the same results metered and unmetered: every call returns the
// same values or traps in the same way, and every module is accepted or refused alike.
func TestSpecification(t *testing.T) {
	dir := filepath.Join(wazeroDir(t), "internal/integration_test/spectest")
	for _, suite := range []string{"v2", "extended-const", "tail-call"} {
		scripts, err := filepath.Glob(filepath.Join(dir, suite, "testdata/*.json"))
		if err != nil || len(scripts) == 0 {
			t.Fatalf("no scripts of %s (%v)", suite, err)
		}
		for engine, config := range configs() {
			t.Run(suite+"/"+engine, func(t *testing.T) {
				t.Parallel()
				commands := 0
				for _, file := range scripts {
					commands += compare(t, config, file, filepath.Join(dir, "testdata/spectest.wasm"))
				}
				t.Logf("%d commands of %d scripts", commands, len(scripts))
			})
		}
	}
}

func wazeroDir(tb testing.TB) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// A script is what wast2json makes of a test of the specification.
type script struct {
	Commands []command `json:"commands"`
}

type command struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Name       string `json:"name"`
	As         string `json:"as"`
	Filename   string `json:"filename"`
	ModuleType string `json:"module_type"`
	Action     struct {
		Type   string  `json:"type"`
		Module string  `json:"module"`
		Field  string  `json:"field"`
		Args   []value `json:"args"`
	} `json:"action"`
}

type value struct {
	Type  string `json:"type"`
	Lane  string `json:"lane_type"`
	Value any    `json:"value"`
}

// compare runs a script twice, and returns how many of its commands were compared.
func compare(t *testing.T, config wazero.RuntimeConfig, file, host string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	plain, metered := newRunner(t, config, host, false), newRunner(t, config, host, true)
	compared := 0
	for _, c := range s.Commands {
		if c.ModuleType == "text" {
			continue // for parsers of the text format
		}
		var module []byte
		if c.Filename != "" {
			if module, err = os.ReadFile(filepath.Join(filepath.Dir(file), c.Filename)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fuel.Meter(module, plenty); c.Type == "module" && err != nil && strings.Contains(err.Error(), "instruction 0xd2 is not supported") {
			return compared // ref.func is refused on purpose, and what follows builds on the module
		}
		want, got := plain.run(t, c, module), metered.run(t, c, module)
		if got != want {
			t.Errorf("%s:%d: %s %s: metered %s, unmetered %s", filepath.Base(file), c.Line, c.Type, c.Action.Field, got, want)
		}
		compared++
	}
	return compared
}

// A runner follows a script with one runtime.
type runner struct {
	runtime wazero.Runtime
	metered bool
	modules map[string]api.Module // by their names; "" is the last one
}

func newRunner(t *testing.T, config wazero.RuntimeConfig, host string, metered bool) *runner {
	t.Helper()
	r := &runner{runtime: wazero.NewRuntimeWithConfig(t.Context(), config), metered: metered, modules: map[string]api.Module{}}
	t.Cleanup(func() { _ = r.runtime.Close(context.WithoutCancel(t.Context())) })
	module, err := os.ReadFile(host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.runtime.InstantiateWithConfig(t.Context(), module, wazero.NewModuleConfig().WithName("spectest")); err != nil {
		t.Fatal(err)
	}
	return r
}

// run returns what came of the command, in words.
func (r *runner) run(t *testing.T, c command, module []byte) string {
	t.Helper()
	switch c.Type {
	case "module", "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
		m, err := r.instantiate(t.Context(), module)
		if err != nil {
			return verdict(err)
		}
		r.modules[""], r.modules[c.Name] = m, m
		return "instantiated"
	case "register":
		// wazero gives a name to a module when it is instantiated, so a registered one is found by its importers through a resolver.
		r.modules["as "+c.As] = r.modules[c.Name]
		return "registered"
	default:
		return r.act(t, c)
	}
}

func (r *runner) instantiate(ctx context.Context, module []byte) (api.Module, error) {
	if r.metered {
		m, err := fuel.Meter(module, plenty)
		if err != nil {
			return nil, err
		}
		module = m.Bytes
	}
	compiled, err := r.runtime.CompileModule(ctx, module)
	if err != nil {
		return nil, err
	}
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return r.modules["as "+name] })
	m, err := r.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, instantiateError{err}
	}
	return m, nil
}

type instantiateError struct{ error }

// verdict says why a module is refused: of a module that is not compiled, only that it is, since who refuses it may differ.
func verdict(err error) string {
	var late instantiateError
	if errors.As(err, &late) {
		return "not instantiated: " + trap(late.error)
	}
	return "refused"
}

// trap returns an error's first line. How an imported table's limits differ from the wanted ones is left out, since a metered
// table is bounded; so is which of several imports is missing.
func trap(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	line, _, _ = strings.Cut(line, " size mismatch: ")
	if strings.HasPrefix(line, "module[") {
		_, line, _ = strings.Cut(line, "] ")
	}
	return line
}

func (r *runner) act(t *testing.T, c command) string {
	t.Helper()
	m := r.modules[c.Action.Module]
	if m == nil {
		t.Fatalf("line %d: no module", c.Line)
	}
	if c.Action.Type == "get" {
		return fmt.Sprint(m.ExportedGlobal(c.Action.Field).Get())
	}
	f := m.ExportedFunction(c.Action.Field)
	var args []uint64
	for _, a := range c.Action.Args {
		args = append(args, a.words(t)...)
	}
	results, err := f.Call(t.Context(), args...)
	if err != nil {
		return trap(err)
	}
	for i, typ := range f.Definition().ResultTypes() {
		if typ == 0x70 && results[i] != 0 {
			results[i] = 1 // a function's address
		}
	}
	return fmt.Sprint(results)
}

// words returns the value as wazero takes it.
func (v value) words(t *testing.T) []uint64 {
	t.Helper()
	if v.Type == "v128" {
		lanes, ok := v.Value.([]any)
		if !ok {
			t.Fatalf("v128 of %T", v.Value)
		}
		bits := 128 / len(lanes)
		out := make([]uint64, 2)
		for i, lane := range lanes {
			n := number(t, lane) & (math.MaxUint64 >> (64 - bits))
			out[i*bits/64] |= n << (i * bits % 64)
		}
		return out
	}
	return []uint64{number(t, v.Value)}
}

func number(t *testing.T, v any) uint64 {
	t.Helper()
	text, _ := v.(string)
	if text == "null" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The modules of the specification's tests, for whoever wants real ones.
func specModules(tb testing.TB) [][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(wazeroDir(tb), "internal/integration_test/spectest/*/testdata/*.wasm"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no modules (%v)", err)
	}
	slices.Sort(files)
	var out [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		if len(b) < 4<<10 && !slices.ContainsFunc(out[max(0, len(out)-8):], func(o []byte) bool { return bytes.Equal(o, b) }) {
			out = append(out, b)
		}
	}
	return out
}
