// Package fuel makes a WebAssembly module pay for what it does, so that whoever runs it can bound that: a host cannot preempt
// a guest. It rewrites the binary before it is compiled, and knows nothing of any runtime.
//
// A metered module has one more global, a mutable i64 that it exports: its fuel. Code takes from it before it runs, and once
// there is less than nothing left, it traps. What is paid:
//
//   - 1 for each instruction, where the straight line of code that it stands in begins: at the entry of a function, at the
//     header of a loop with each pass, behind a block, and on either side of an if; short lines are paid for by what leads
//     to them, so that what is jumped over may be paid as well;
//   - 1 for each parameter, result and local of a function, when it is entered, and for each parameter and result of a block;
//   - memory.fill, memory.copy and memory.init: besides, 1 for each 16 bytes; table.fill, table.copy, table.init and
//     table.grow: 1 for each 2 elements, which are as many bytes; memory.grow and table.grow: 100, since they leave for the host.
//
// So whatever runs has been paid for. The price of a call depends on nothing but what the module does: the same call in the
// same state always costs the same.
//
// The rewriter understands the core specification 2.0 (https://www.w3.org/TR/wasm-core-2/), extended constant expressions and
// tail calls. It refuses what it does not know, and ref.func in functions, each of which costs wazero memory for good.
package fuel

import (
	"errors"
	"fmt"
)

// ErrModule is a module that cannot be metered: no WebAssembly, malformed, too large, or of a proposal that is not supported.
var ErrModule = errors.New("malformed or unsupported WebAssembly")

// Limits of what is accepted. They keep a module from needing much memory or time before it runs its first instruction: a
// compiler follows each local through each block, and has a record of each item. The standard-Go guest that comes near any of
// them is yet to be seen; one that parses JSON has 3 MB, 11,000 functions, and a hundredth of the paths.
const (
	maxSize      = 16 << 20 // of a module, in bytes
	maxBody      = 1 << 20  // of a function, in bytes
	maxArity     = 128      // of a type: parameters, and results
	maxAllLocals = 1 << 21  // of all functions together
	maxLocals    = 50_000   // of a function
	maxPaths     = 1 << 20  // of a function: its blocks and branches, times its locals and what a branch may take along
	maxAllPaths  = 8 << 20  // of all functions together
	maxItems     = 100_000  // of a kind
	maxElements  = 1 << 17  // of all tables together, and of what they are filled with
)

// A Module is a metered one.
type Module struct {
	Bytes  []byte
	Global string // the name of the exported global that holds the fuel: "berry_fuel", with underscores behind it if that is taken
}

// Meter returns the module with fuel, of which there is start at first: a start function runs before the host can set any.
// It keeps the indices and names of everything, and leaves out debug information, whose offsets would no longer be true. A
// table cannot grow beyond 131,072 elements, shared by the tables of the module.
//
// Meter checks what it needs to know, and not whether the module is valid: a compiler does. It makes no invalid module valid.
func Meter(module []byte, start int64) (Module, error) {
	if len(module) > maxSize {
		return Module{}, fmt.Errorf("%w: it has %d bytes; at most %d are taken", ErrModule, len(module), maxSize)
	}
	m := &rewriter{in: reader{b: module}, start: start}
	m.rewrite()
	if err := m.in.err; err != nil {
		return Module{}, fmt.Errorf("%w: %w", ErrModule, err)
	}
	return Module{Bytes: m.out, Global: m.global}, nil
}
