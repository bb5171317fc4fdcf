package fuel_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/berrygate/berry/core/wasm/fuel"
	"github.com/berrygate/berry/internal/guesttest"
)

// A guest is an instance of a metered module.
type guest struct {
	api.Module
	fuel api.MutableGlobal
}

func newGuest(t *testing.T, module []byte, start int64) guest {
	t.Helper()
	m, err := fuel.Meter(module, start)
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(features))
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	in, err := r.Instantiate(t.Context(), m.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	global, ok := in.ExportedGlobal(m.Global).(api.MutableGlobal)
	if !ok {
		t.Fatalf("no global %s", m.Global)
	}
	return guest{in, global}
}

// burn calls run with the arguments, and returns what it took of so much fuel.
func (g guest) burn(t *testing.T, with int64, args ...uint64) (int64, error) {
	t.Helper()
	g.fuel.Set(uint64(with))
	_, err := g.ExportedFunction("run").Call(t.Context(), args...)
	return with - int64(g.fuel.Get()), err
}

// What costs how much. Each instruction is one, whether it opens a block, ends one, or stands within.
func TestPrice(t *testing.T) {
	long := `(func (export "run") (param i32) local.get 0 if ` + strings.Repeat("nop ", 30) + ` end)`
	const half = `(local $half i32)` // a local is one
	for name, test := range map[string]struct {
		module string
		arg    uint64
		want   int64
	}{
		"nothing":             {`(func (export "run") (param i32))`, 0, 1},
		"three instructions":  {`(func (export "run") (param i32) i32.const 1 drop)`, 0, 3},
		"locals":              {`(func (export "run") (param i32) (local i64 i64 f32))`, 0, 4},
		"a call":              {`(func $f nop nop) (func (export "run") (param i32) call $f)`, 0, 2 + 3},
		"an import's name":    {`(func (export "run") (param i32) nop) (export "berry_fuel" (func 0))`, 0, 2},
		"a short if, skipped": {`(func (export "run") (param i32) local.get 0 if nop end)`, 0, 5},
		"a long if, skipped":  {long, 0, 3},
		"a long if, taken":    {long, 1, 3 + 31},
		"ten passes of a loop": {
			`(func (export "run") (param i32) (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0))))`, 10, 2 + 10*7,
		},
		"a tail call":          {`(func $f nop nop) (func (export "run") (param i32) return_call $f)`, 0, 2 + 3},
		"a fill of 160 bytes":  {`(memory 1) (func (export "run") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))`, 160, 5 + 10},
		"a copy of 160 bytes":  {`(memory 1) (func (export "run") (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0)))`, 160, 5 + 10},
		"an init of 32 bytes":  {`(memory 1) (data "0123456789abcdef0123456789abcdef") (func (export "run") (param i32) (memory.init 0 (i32.const 0) (i32.const 0) (local.get 0)))`, 32, 5 + 2},
		"a table grown by 100": {`(table 0 funcref) (func (export "run") (param i32) (drop (table.grow 0 (ref.null func) (local.get 0))))`, 100, 5 + 50 + 100},
		"memory that is grown": {`(memory 1) (func (export "run") (param i32) (drop (memory.grow (i32.const 0))))`, 0, 4 + 100},
		"a table's fill":       {`(table 100 funcref) (func (export "run") (param i32) (table.fill 0 (i32.const 0) (ref.null func) (local.get 0)))`, 100, 5 + 50},
		"with a local already": {`(memory 1) (func (export "run") (param i32) ` + half + ` (local.set $half (i32.shr_u (local.get 0) (i32.const 1))) (memory.fill (i32.const 0) (i32.const 1) (local.get $half)))`, 160, 1 + 9 + 5},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, guesttest.Text(t, "(module "+test.module+")"), 0)
			for range 3 {
				if got, err := g.burn(t, 1000, test.arg); got != test.want+1 || err != nil { // 1 for the parameter
					t.Errorf("%d, %v; want %d", got, err, test.want+1)
				}
			}
			if _, err := g.burn(t, test.want, test.arg); err == nil {
				t.Error("it runs on less")
			}
		})
	}
}

// Nothing goes on for ever: what has no end traps when the fuel is out, and the guest can go on with the next call's.
func TestOutOfFuel(t *testing.T) {
	for name, module := range map[string]string{
		"a loop":              `(func (export "run") (loop $l (br $l)))`,
		"a loop of blocks":    `(func (export "run") (loop $l (block $b (br $b)) (br $l)))`,
		"recursion":           `(func $f (export "run") (call $f))`,
		"mutual recursion":    `(func $f (export "run") (call $g)) (func $g (call $f))`,
		"tail recursion":      `(func $f (export "run") (return_call $f))`,
		"through a table":     `(type $t (func)) (table funcref (elem $f)) (func $f (export "run") (call_indirect (type $t) (i32.const 0)))`,
		"an exponential tree": `(func $a call $b call $b) (func $b call $c call $c) (func $c call $d call $d) (func $d call $e call $e) (func $e call $f call $f) (func $f call $g call $g) (func $g call $h call $h) (func $h call $i call $i) (func $i nop) (func (export "run") call $a call $a call $a call $a call $a call $a call $a call $a)`,
		"fills":               `(memory 100) (func (export "run") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 6553600)) (br $l)))`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, guesttest.Text(t, "(module "+module+")"), 0)
			for range 2 {
				burned, err := g.burn(t, 5000)
				if err == nil || burned <= 5000 || !strings.Contains(err.Error(), "unreachable") {
					t.Errorf("it burned %d: %v", burned, err)
				}
			}
		})
	}
}

// A start function has the fuel that the module is born with.
func TestStart(t *testing.T) {
	m, err := fuel.Meter(guesttest.Text(t, `(module (func $f (loop $l (br $l))) (start $f))`), 1000)
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntime(t.Context())
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	if _, err := r.Instantiate(t.Context(), m.Bytes); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Error(err)
	}
}

// A module cannot name the fuel, nor the local that its tolls use, before they are there.
func TestFuelIsOutOfReach(t *testing.T) {
	for name, text := range map[string]string{
		"global.get":      `(func (drop (global.get 1)))`,
		"global.set":      `(func (global.set 1 (i64.const 1000000)))`,
		"an export":       `(export "mine" (global 1))`,
		"another global":  `(global i64 (global.get 2))`,
		"a data segment":  `(memory 1) (data (offset (global.get 1)) "x")`,
		"an element":      `(table 1 funcref) (elem (offset (global.get 1)) func)`,
		"a toll's local":  `(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)) (drop (local.get 0)))`,
		"and to set it":   `(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)) (local.set 0 (i32.const 1)))`,
		"and to leave it": `(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)) (drop (local.tee 0 (i32.const 1))))`,
	} {
		if _, err := fuel.Meter(guesttest.Text(t, "(module (global (mut i64) (i64.const 0)) "+text+")", "--no-check"), 0); !errors.Is(err, fuel.ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for taken, want := range map[string]string{"other": "berry_fuel", "berry_fuel": "berry_fuel_"} {
		m, err := fuel.Meter(guesttest.Text(t, `(module (global (export "`+taken+`") (mut i64) (i64.const 0)))`), 0)
		if err != nil || m.Global != want {
			t.Errorf("%s: %s, %v", taken, m.Global, err)
		}
	}
}

// What is not understood is refused, with where it stands and what it is; no input makes Meter panic or need much memory.
func TestRefused(t *testing.T) {
	header := "\x00asm\x01\x00\x00\x00"
	body := func(code string) string { // a module with one function
		code = "\x00" + code + "\x0b"
		return header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a" + string(rune(len(code)+2)) + "\x01" + string(rune(len(code))) + code
	}
	for name, test := range map[string]struct{ module, says string }{
		"nothing":             {"", "ends too early"},
		"text":                {"(module)", "a text (.wat) must be compiled"},
		"a component":         {"\x00asm\x0d\x00\x01\x00", "a component is none"},
		"an unknown section":  {header + "\x0e\x00", "section 14 is not supported"},
		"a tag section":       {header + "\x0d\x00", "section 13 is not supported"},
		"sections in a mess":  {header + "\x03\x01\x00\x01\x01\x00", "section 1 stands behind one"},
		"a section twice":     {header + "\x01\x01\x00\x01\x01\x00", "section 1 stands behind one"},
		"a section cut off":   {header + "\x01\x05\x00", "section 1 of 5 bytes is cut off"},
		"bytes too many":      {header + "\x01\x02\x00\x00", "1 bytes too many"},
		"four billion types":  {header + "\x01\x05\xff\xff\xff\xff\x0f", "4294967295 items are announced"},
		"a struct type":       {header + "\x01\x02\x01\x5f", "type form 0x5f"},
		"a function too many": {header + "\x03\x02\x01\x00", "a function has type 0 of 0"},
		"a huge table":        {header + "\x04\x07\x01\x70\x00\x80\x80\x80\x40", "a table of 134217728 elements is too large"},
		"a shared memory":     {header + "\x05\x04\x01\x03\x01\x01", "limits 0x3"},
		"many locals":         {header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b", "more than 50000 locals"},
		"an atomic":           {body("\xfe\x03\x00"), "instruction 0xfe"},
		"an exception":        {body("\x08\x00"), "instruction 0x8"},
		"a relaxed vector":    {body("\xfd\x80\x02"), "instruction 0xfd 0x80"},
		"a misc instruction":  {body("\xfc\x12"), "instruction 0xfc 0x12"},
		"an else on its own":  {body("\x05"), "an else stands in no if"},
		"code behind the end": {body("\x0b"), "goes on behind its end"},
		"a second memory":     {body("\x28\x42\x00\x00"), "one memory"},
	} {
		if _, err := fuel.Meter([]byte(test.module), 0); !errors.Is(err, fuel.ErrModule) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %q", name, err, test.says)
		}
	}
	if _, err := fuel.Meter(make([]byte, 64<<20), 0); err == nil || !strings.Contains(err.Error(), "it has 67108864 bytes") {
		t.Error(err)
	}
	whole := guesttest.Text(t, `(module (memory 1) (table 1 funcref) (global i32 (i32.const 1)) (elem (i32.const 0) $f)
		(func $f (export "run") (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))) (data (i32.const 1) "x"))`)
	for n := range whole {
		if _, err := fuel.Meter(whole[:n], 0); err == nil && !bytes.HasPrefix(whole[n:], []byte("\x00")) && n > 8 {
			if _, err := wazero.NewRuntime(t.Context()).CompileModule(t.Context(), whole[:n]); err != nil {
				t.Errorf("the first %d bytes are taken, which the compiler refuses: %v", n, err)
			}
		}
	}
}

// Small modules that a compiler would take long or much memory for are refused.
func TestBombs(t *testing.T) {
	names := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	locals := "(local " + strings.Repeat("i64 ", 2000) + ")"
	adds := names(2000, func(i int) string {
		n := strconv.Itoa(i)
		return "(local.set " + n + " (i64.add (local.get " + n + ") (i64.const 1)))"
	})
	for name, test := range map[string]struct{ text, says string }{
		"locals through nested loops":   {"(func " + locals + strings.Repeat("(loop ", 1000) + adds + strings.Repeat(")", 1000) + ")", "blocks and branches, times locals"},
		"locals through a branch table": {"(func " + locals + "(block " + adds + "(br_table " + strings.Repeat("0 ", 2000) + "(i32.const 0))))", "blocks and branches, times locals"},
		"a long function":               {"(func " + strings.Repeat("nop ", 1<<20) + ")", "a function of 1048578 bytes"},
		"many functions":                {strings.Repeat("(func)", 100_001), "100001 items of a kind"},
		"many elements":                 {"(table 1 funcref) (func $f) " + strings.Repeat("(elem func "+strings.Repeat("$f ", 50_000)+")", 3), "150000 elements"},
		"many locals":                   {strings.Repeat("(func (local "+strings.Repeat("i64 ", 10_000)+"))", 210), "locals; there may be at most 2097152 in all"},
		"a wide type":                   {"(func (result " + strings.Repeat("v128 ", 129) + ") unreachable)", "a type of 129 values"},
		"references":                    {"(func $f (drop (ref.func $f))) (elem declare func $f)", "instruction 0xd2 is not supported"},
	} {
		if _, err := fuel.Meter(guesttest.Text(t, "(module "+test.text+")"), 0); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %q", name, err, test.says)
		}
	}
}

// A trap in a metered module is told with the names of its functions. What says where in the code something is, is left out.
func TestNames(t *testing.T) {
	g := newGuest(t, guesttest.Text(t, `(module (func $deep unreachable) (func (export "run") (call $deep)))`), 0)
	if _, err := g.burn(t, 100); err == nil || !strings.Contains(err.Error(), ".deep()") {
		t.Error(err)
	}
	module := append([]byte("\x00asm\x01\x00\x00\x00"), "\x00\x0d\x0b.debug_linex\x00\x06\x04noteY"...)
	m, err := fuel.Meter(module, 0)
	if err != nil || bytes.Contains(m.Bytes, []byte("debug")) || !bytes.Contains(m.Bytes, []byte("noteY")) {
		t.Errorf("%q, %v", m.Bytes, err)
	}
}
