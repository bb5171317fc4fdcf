package wasm

import (
	"context"
	"errors"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// What a strategy has unless its source says otherwise.
const (
	DefaultFuel   = 1_000_000 // for a call
	DefaultMemory = 16 << 20  // bytes
)

// startFuel is what an instance may burn before its first pick: in its start function, _initialize, berry_abi, berry_buffer
// and berry_configure together. A standard-Go guest takes 6 million, one that parses JSON 8.
const startFuel = 50_000_000

// What the host's functions cost their caller, beside the call itself: about what the same time costs it elsewhere.
const (
	callFuel = 100   // any
	lineFuel = 2_000 // a line in the log
	wordFuel = 16    // each I/O vector, subscription, byte of a path or random byte, and empty line
)

var errFuel = errors.New("out of fuel")

// fill gives the guest fuel for its next call.
func (in *instance) fill(fuel int64) {
	in.filled = fuel
	in.fuel.Set(uint64(fuel))
}

// meter finds the fuel of m, which is in's module.
func (in *instance) meter(m api.Module) {
	if g, ok := m.ExportedGlobal(in.global).(api.MutableGlobal); ok {
		in.fuel = g
	}
}

// charge takes fuel for what the host does for the guest, and traps when there is none left.
func (in *instance) charge(price int64) {
	left := int64(in.fuel.Get()) - price
	in.fuel.Set(uint64(left))
	if left < 0 {
		panic(errFuel)
	}
}

// charges makes guests pay for each call of a WASI function, which is told before it runs.
type charges struct{}

var (
	_ experimental.FunctionListenerFactory = charges{}
	_ experimental.FunctionListener        = callCost{}
)

// A callCost is what the calls of one function cost: those of its parameters that say of how many words or bytes it works.
type callCost struct{ many []int }

// NewFunctionListener returns the toll of the function. Paths are copied and looked through before anything is found out about
// their folder.
func (charges) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	var t callCost
	for i, name := range f.ParamNames() {
		if strings.HasSuffix(name, "_len") && !strings.HasPrefix(name, "result.") || name == "nsubscriptions" {
			t.many = append(t.many, i)
		}
	}
	return t
}

// Before takes the toll.
func (t callCost) Before(ctx context.Context, m api.Module, _ api.FunctionDefinition, params []uint64, _ experimental.StackIterator) {
	price := int64(callFuel)
	for _, i := range t.many {
		price += int64(uint32(params[i])) * wordFuel
	}
	caller(ctx, m).charge(price)
}

// After does nothing.
func (callCost) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort does nothing.
func (callCost) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}
