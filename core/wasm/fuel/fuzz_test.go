package fuel_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/berrygate/berry/core/wasm/fuel"
)

// FuzzMeter takes any bytes for a module: what wazero accepts stays valid and computes the same, anything else is refused.
func FuzzMeter(f *testing.F) {
	for i, m := range specModules(f) {
		if i%7 == 0 {
			f.Add(m)
		}
	}
	f.Fuzz(func(t *testing.T, module []byte) { same(t, module) })
}

// FuzzProgram takes bytes for decisions by which it writes a valid program, which reaches deeper than random bytes do.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and back again through every block and loop that there is"))
	for i := range 32 {
		seed := make([]byte, 400)
		for j := range seed {
			seed[j] = byte(i*131 + j*j*7 + j>>3)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		module := program(choices)
		if !same(t, module) {
			t.Fatalf("%x is not valid", module)
		}
	})
}

// allowance is what a call of a fuzzer may burn. A call that needs more is not made unmetered: it may have no end.
const allowance = 20_000

// same runs the module's exports metered and, if they end, unmetered, and compares all that can be seen. It returns
// false if it is none.
func same(t *testing.T, module []byte) bool {
	t.Helper()
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithMemoryLimitPages(16).WithDebugInfoEnabled(false)
	metered, err := fuel.Meter(module, allowance)
	r := wazero.NewRuntimeWithConfig(t.Context(), config)
	defer func() { _ = r.Close(context.WithoutCancel(t.Context())) }()
	if err != nil {
		if deliberate(err) || !tame(module) {
			return false
		}
		if _, late := compile(t, r, module); late == nil {
			t.Fatalf("refused, though the compiler takes it: %v", err)
		}
		return false
	}
	if !tame(module) && bytes.Contains(module, []byte("name")) {
		return false // the compiler reads names that are left out if they are malformed
	}
	plain, errPlain := compile(t, r, module)
	rewritten, errMetered := compile(t, r, metered.Bytes)
	if errPlain != nil && strings.Contains(errPlain.Error(), "section custom") {
		return false // names that are malformed are left out
	}
	if (errPlain == nil) != (errMetered == nil) {
		t.Fatalf("compiled unmetered: %v; metered: %v", errPlain, errMetered)
	}
	if errPlain != nil {
		return false
	}
	anonymous := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	m, errMetered := r.InstantiateModule(t.Context(), rewritten, anonymous)
	if errMetered != nil && strings.Contains(errMetered.Error(), "unreachable") {
		return true // its start function may have no end
	}
	p, errPlain := r.InstantiateModule(t.Context(), plain, anonymous)
	if errPlain != nil || errMetered != nil {
		if errPlain == nil || errMetered == nil || trap(errPlain) != trap(errMetered) {
			t.Fatalf("instantiated unmetered: %v; metered: %v", errPlain, errMetered)
		}
		return true
	}
	left, ok := m.ExportedGlobal(metered.Global).(api.MutableGlobal)
	if !ok {
		t.Fatal("no fuel")
	}
	for _, name := range slices.Sorted(maps.Keys(p.ExportedFunctionDefinitions())) {
		args := make([]uint64, width(p.ExportedFunction(name).Definition().ParamTypes()))
		for i := range args {
			args[i] = uint64(i*3 + 5)
		}
		for _, t := range p.ExportedFunction(name).Definition().ParamTypes() {
			if t == api.ValueTypeExternref || t == 0x70 {
				clear(args) // no reference is null
			}
		}
		left.Set(allowance)
		got, errMetered := m.ExportedFunction(name).Call(t.Context(), args...)
		if int64(left.Get()) < 0 {
			return true
		}
		want, errPlain := p.ExportedFunction(name).Call(t.Context(), args...)
		switch {
		case (errPlain == nil) != (errMetered == nil), errPlain != nil && trap(errPlain) != trap(errMetered):
			t.Fatalf("%s unmetered: %v; metered: %v", name, errPlain, errMetered)
		case errPlain == nil && !slices.Equal(got, want) && !slices.Contains(p.ExportedFunction(name).Definition().ResultTypes(), 0x70):
			t.Fatalf("%s unmetered: %v; metered: %v", name, want, got)
		}
		if a, b := memory(p), memory(m); a != b {
			t.Fatalf("%s leaves another memory", name)
		}
	}
	return true
}

// compile refuses what makes wazero panic.
func compile(t *testing.T, r wazero.Runtime, module []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.CompileModule(t.Context(), module)
}

// deliberate tells whether Meter refuses on purpose what a compiler may take.
func deliberate(err error) bool {
	for _, why := range []string{"is not supported", "are announced", "too large", "more than 50000 locals", "one memory", "may be at most", "may have at most"} {
		if strings.Contains(err.Error(), why) {
			return true
		}
	}
	return false
}

// tame tells whether the module has no number so large that a compiler which believes it would run out of memory, as one does
// that is not asked after Meter.
func tame(module []byte) bool {
	large := 0
	for _, b := range module {
		if large++; b < 0x80 {
			large = 0
		}
		if large == 3 {
			return false
		}
	}
	return true
}

// width returns how many words parameters of the types take.
func width(types []api.ValueType) int {
	n := len(types)
	for _, t := range types {
		if t == 0x7b {
			n++
		}
	}
	return n
}

func memory(m api.Module) string {
	for name := range m.ExportedMemoryDefinitions() {
		b, _ := m.ExportedMemory(name).Read(0, m.ExportedMemory(name).Size())
		return string(b)
	}
	return ""
}

// A writer writes functions of valid code by the bytes that it is given.
type writer struct {
	choices []byte
	out     []byte
	blocks  []bool // that are open, innermost last: whether a branch to it takes an i32
}

// program returns a module of a few functions (i32, i32) -> i32 that call each other, directly and through a table, with a
// memory and a global.
func program(choices []byte) []byte {
	const count = 3
	w := &writer{choices: choices}
	var bodies []byte
	for range count {
		w.out, w.blocks = nil, nil
		w.expression(0)
		body := append([]byte{1, 2, 0x7f}, append(w.out, 0x0b)...) // two more locals
		bodies = append(append(bodies, leb(len(body))...), body...)
	}
	section := func(id byte, content ...byte) []byte {
		return append(append([]byte{id}, leb(len(content))...), content...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f), section(3, count, 0, 0, 0), section(4, 1, 0x70, 0, count+1), section(5, 1, 0, 1),
		section(6, 1, 0x7f, 1, 0x41, 7, 0x0b), section(7, append([]byte{count + 1, 3, 'm', 'e', 'm', 2, 0}, exports(count)...)...),
		section(9, 1, 0, 0x41, 0, 0x0b, count, 0, 1, 2), section(10, append([]byte{count}, bodies...)...))
}

func exports(count int) (out []byte) {
	for i := range count {
		out = append(out, 1, byte('a'+i), 0, byte(i))
	}
	return out
}

func leb(n int) (out []byte) {
	for ; n > 0x7f; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func (w *writer) choose(n int) int {
	if len(w.choices) == 0 {
		return 0
	}
	c := int(w.choices[0])
	w.choices = w.choices[1:]
	return c % n
}

func (w *writer) put(b ...byte) { w.out = append(w.out, b...) }

// expression writes code that leaves an i32.
func (w *writer) expression(depth int) {
	if depth > 12 {
		w.put(0x41, byte(w.choose(64)))
		return
	}
	switch next := depth + 1; w.choose(16) {
	case 0:
		w.put(0x41, byte(w.choose(64)))
	case 1:
		w.put(0x20, byte(w.choose(4)))
	case 2:
		w.put(0x23, 0)
	case 3: // arithmetic; a division may trap
		w.expression(next)
		w.expression(next)
		w.put([]byte{0x6a, 0x6b, 0x6c, 0x6e, 0x71, 0x73, 0x74, 0x48}[w.choose(8)])
	case 4:
		w.expression(next)
		w.put(0x22, byte(w.choose(4)))
	case 5:
		w.statement(next)
		w.expression(next)
	case 6: // if
		w.expression(next)
		w.put(0x04, 0x7f)
		w.within(true, func() { w.expression(next); w.put(0x05); w.expression(next) })
	case 7: // block
		w.put(0x02, 0x7f)
		w.within(true, func() { w.expression(next) })
	case 8: // loop
		w.put(0x03, 0x7f)
		w.within(false, func() { w.statement(next); w.expression(next) })
	case 9:
		w.expression(next)
		w.expression(next)
		w.put(0x10, byte(w.choose(3)))
	case 10:
		w.expression(next)
		w.expression(next)
		w.expression(next)
		w.put(0x11, 0, 0)
	case 11:
		w.expression(next)
		w.put(0x28, 2, byte(w.choose(128)))
	case 12: // behind it nothing runs
		w.expression(next)
		w.put(0x0f)
		w.expression(next)
	case 13: // a tail call
		w.expression(next)
		w.expression(next)
		w.put(0x12, byte(w.choose(3)))
	case 14:
		w.expression(next)
		w.put(0x40, 0) // memory.grow
	default:
		w.put(0xd0, 0x70, 0x41, 1, 0xfc, 15, 0) // table.grow
	}
}

// within writes what stands in a block, whose opening has been written, and closes it.
func (w *writer) within(value bool, inside func()) {
	w.blocks = append(w.blocks, value)
	inside()
	w.blocks = w.blocks[:len(w.blocks)-1]
	w.put(0x0b)
}

// statement writes code that leaves nothing.
func (w *writer) statement(depth int) {
	if depth > 12 {
		w.put(0x01)
		return
	}
	switch next := depth + 1; w.choose(8) {
	case 0:
		w.put(0x01)
	case 1:
		w.expression(next)
		w.put(0x21, byte(w.choose(4)))
	case 2:
		w.expression(next)
		w.put(0x24, 0)
	case 3:
		w.expression(next)
		w.expression(next)
		w.put(0x36, 2, byte(w.choose(128)))
	case 4: // br_if
		if len(w.blocks) == 0 {
			w.put(0x01)
			return
		}
		to := w.choose(len(w.blocks))
		if value := w.blocks[len(w.blocks)-1-to]; value {
			w.expression(next)
			w.expression(next)
			w.put(0x0d, byte(to), 0x1a)
		} else {
			w.expression(next)
			w.put(0x0d, byte(to))
		}
	case 5: // memory.fill or copy
		w.expression(next)
		w.expression(next)
		w.expression(next)
		w.put([][]byte{{0xfc, 11, 0}, {0xfc, 10, 0, 0}}[w.choose(2)]...)
	case 6: // if
		w.expression(next)
		w.put(0x04, 0x40)
		w.blocks = append(w.blocks, false)
		w.statement(next)
		w.blocks = w.blocks[:len(w.blocks)-1]
		w.put(0x0b)
	default: // a block that is left through a table of branches
		w.put(0x02, 0x40)
		w.blocks = append(w.blocks, false)
		w.statement(next)
		w.expression(next)
		w.put(0x0e, 1, 0, 0)
		w.blocks = w.blocks[:len(w.blocks)-1]
		w.put(0x0b)
	}
}
