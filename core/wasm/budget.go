package wasm

import (
	"context"
	"errors"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// The limits of a strategy, unless its source sets others.
const (
	DefaultFuel   = 1_000_000 // for a call
	DefaultMemory = 16 << 20  // bytes
)

// startFuel is the fuel of an instance before its first pick: for its start function, _initialize, berry_abi, berry_buffer and
// berry_configure together. A standard-Go guest takes 6 million, one that parses JSON 8.
const startFuel = 50_000_000

// The prices of the host's functions, beside the call itself: about as much as other code of the same time.
const (
	callFuel = 100   // any
	lineFuel = 2_000 // a line in the log
	wordFuel = 16    // each I/O vector, subscription, byte of a path or random byte, and empty line
)

var errFuel = errors.New("out of fuel")

// fill sets the guest's fuel for its next call.
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

// charge takes fuel for a host function, and traps if there is not enough.
func (in *instance) charge(price int64) {
	left := int64(in.fuel.Get()) - price
	in.fuel.Set(uint64(left))
	if left < 0 {
		panic(errFuel)
	}
}

// charges charges guests for each call of a WASI function, before it runs.
type charges struct{}

var (
	_ experimental.FunctionListenerFactory = charges{}
	_ experimental.FunctionListener        = callCost{}
)

// A callCost is the price of one function's calls: by those parameters that are a number of words or bytes.
type callCost struct{ many []int }

// NewFunctionListener returns the function's callCost. A path costs by its length, since it is copied and parsed before the call fails.
func (charges) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	var t callCost
	for i, name := range f.ParamNames() {
		if strings.HasSuffix(name, "_len") && !strings.HasPrefix(name, "result.") || name == "nsubscriptions" {
			t.many = append(t.many, i)
		}
	}
	return t
}

// Before charges the call.
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
