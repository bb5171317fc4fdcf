package wasm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// A signature is a function's type.
type signature struct{ params, results []api.ValueType }

func signatureOf(f api.FunctionDefinition) signature {
	return signature{f.ParamTypes(), f.ResultTypes()}
}

func (s signature) equal(o signature) bool {
	return slices.Equal(s.params, o.params) && slices.Equal(s.results, o.results)
}

// String returns the signature as in the ABI's table: (i32, i32) -> i32.
func (s signature) String() string {
	names := func(types []api.ValueType) string {
		var out []string
		for _, t := range types {
			out = append(out, api.ValueTypeName(t))
		}
		return strings.Join(out, ", ")
	}
	text := "(" + names(s.params) + ")"
	if len(s.results) > 0 {
		text += " -> " + names(s.results)
	}
	return text
}

// An export is a function of the ABI.
type export struct {
	name     string
	required bool
	signature
}

func exports() []export {
	i32 := []api.ValueType{api.ValueTypeI32}
	return []export{
		{abi.ExportInitialize, false, signature{}},
		{abi.ExportABI, true, signature{results: i32}},
		{abi.ExportBuffer, true, signature{i32, i32}},
		{abi.ExportConfigure, false, signature{i32, i32}},
		{abi.ExportSelect, true, signature{i32, i32}},
		{abi.ExportObserve, false, signature{params: i32}},
	}
}

// check checks a module against the ABI: its exports, and that it imports nothing else.
func (e *Engine) check(m wazero.CompiledModule) error {
	if m.ExportedMemories()[abi.ExportMemory] == nil {
		return fmt.Errorf("%w: it exports no memory named %q", ErrGuest, abi.ExportMemory)
	}
	functions := m.ExportedFunctions()
	for _, want := range exports() {
		f := functions[want.name]
		switch {
		case f == nil && want.required:
			return fmt.Errorf("%w: it exports no function %s %s", ErrGuest, want.name, want.signature)
		case f != nil && !signatureOf(f).equal(want.signature):
			return fmt.Errorf("%w: its %s is %s; it must be %s", ErrGuest, want.name, signatureOf(f), want.signature)
		}
	}
	for _, memory := range m.ImportedMemories() {
		from, name, _ := memory.Import()
		return fmt.Errorf("%w: it imports the memory %s.%s; it must have its own", ErrGuest, from, name)
	}
	for _, f := range m.ImportedFunctions() {
		from, name, _ := f.Import()
		want, known := e.imports[from][name]
		switch {
		case !known:
			return fmt.Errorf("%w: it imports %s.%s; a strategy may import berry.log and wasi_snapshot_preview1 only", ErrGuest, from, name)
		case !want.equal(signatureOf(f)):
			return fmt.Errorf("%w: it imports %s.%s as %s; it is %s", ErrGuest, from, name, signatureOf(f), want)
		}
	}
	return nil
}

// probeQuery returns the query of the self-check: three candidates without data.
func probeQuery() *core.Query {
	q := &core.Query{Model: "self-check", Candidates: make([]abi.Candidate, 3)}
	for i := range q.Candidates {
		q.Candidates[i] = abi.Candidate{ID: uint64(i), Weight: 1, Priority: int32(i), Success: 1}
	}
	return q
}
