package wasm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/berrygate/berry/sdk/abi"
)

// An instance is a guest with memory of its own. It is not safe for concurrent use.
type instance struct {
	ctx    context.Context // contains the instance, for host functions
	module api.Module
	memory api.Memory
	pick   api.Function
	learn  api.Function // nil if the guest is stateless
	grow   api.Function
	stack  [1]uint64 // argument and result of a call
	linear *linearMemory

	global string            // the fuel's name
	fuel   api.MutableGlobal // nil before a start function has ended or called the host
	filled int64             // at the start of the current call
	burned int64             // by the latest berry_select

	stateful          bool
	address, capacity uint32 // of the guest's buffer

	// The guest's clock, which is the latest query's time plus its sleeps, and its randomness.
	now    int64
	random rand.PCG
	log    *guestLog
}

type instanceKey struct{}

// newInstance instantiates m, initializes and configures it, with startFuel.
func newInstance(ctx context.Context, r wazero.Runtime, m *module, src *Source, log *guestLog) (*instance, error) {
	linear, err := newLinearMemory(src.Memory)
	if err != nil {
		return nil, err
	}
	in := &instance{log: log, linear: linear, global: m.fuel, filled: startFuel}
	in.ctx = context.WithValue(context.WithoutCancel(ctx), instanceKey{}, in)
	if in.module, err = in.instantiate(r, m); err != nil {
		return nil, errors.Join(fault(Trap, "instantiate: %w", in.early(err)), linear.close())
	}
	if err := in.start(src.Config); err != nil {
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

// instantiate instantiates the guest's module. It turns a panic of wazero into an error.
func (in *instance) instantiate(r wazero.Runtime, m *module) (_ api.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it cannot be instantiated: %v", p)
		}
	}()
	return r.InstantiateModule(experimental.WithMemoryAllocator(in.ctx, in.linear), m.compiled, in.moduleConfig())
}

// moduleConfig returns a WASI without power: no arguments, environment or files; clock and randomness of the query; sleeping returns at once
// and advances the clock; output becomes log lines.
func (in *instance) moduleConfig() wazero.ModuleConfig {
	out := &lineWriter{in: in}
	return wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(out).WithStderr(out).
		WithWalltime(func() (int64, int32) { return in.now / int64(time.Second), int32(in.now % int64(time.Second)) }, sys.ClockResolution(1)).
		WithNanotime(func() int64 { return max(in.now, 1) }, sys.ClockResolution(1)). // Go's runtime does not start at 0
		WithNanosleep(func(ns int64) { in.now += max(ns, 0) }).                       // else a guest would find that no time has passed, and sleep again
		WithOsyield(func() {}).
		WithRandSource(randomReader{in})
}

func (in *instance) start(config []byte) error {
	in.meter(in.module)
	in.memory = in.module.ExportedMemory(abi.ExportMemory)
	in.pick = in.module.ExportedFunction(abi.ExportSelect)
	in.learn = in.module.ExportedFunction(abi.ExportObserve)
	in.grow = in.module.ExportedFunction(abi.ExportBuffer)
	if f := in.module.ExportedFunction(abi.ExportInitialize); f != nil {
		if err := f.CallWithStack(in.ctx, nil); err != nil {
			return in.explain(abi.ExportInitialize, err)
		}
	}
	answer, err := in.call(in.module.ExportedFunction(abi.ExportABI), abi.ExportABI, 0)
	if err != nil {
		return err
	}
	if v := answer & 0xffff; v != abi.Version {
		return fmt.Errorf("%w: it speaks ABI version %d; this gateway speaks %d", ErrGuest, v, abi.Version)
	}
	in.stateful = answer&abi.FlagStateful != 0
	if in.stateful && in.learn == nil {
		return fmt.Errorf("%w: it is stateful but exports no %s", ErrGuest, abi.ExportObserve)
	}
	return in.configure(config)
}

func (in *instance) configure(config []byte) error {
	b, err := in.buffer(len(config))
	if err != nil {
		return err
	}
	f := in.module.ExportedFunction(abi.ExportConfigure)
	if f == nil {
		if string(config) != "{}" {
			return fmt.Errorf("%w: it exports no %s and takes none", ErrRefused, abi.ExportConfigure)
		}
		return nil
	}
	copy(b, config)
	n, err := in.call(f, abi.ExportConfigure, uint64(len(config)))
	if err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	const longest = 1024
	reason, ok := in.memory.Read(in.address, min(uint32(n), longest))
	if n < 0 || !ok {
		return fmt.Errorf("%w, and says why outside its buffer (%d bytes)", ErrRefused, n)
	}
	return fmt.Errorf("%w: %s", ErrRefused, strings.ToValidUTF8(string(reason), "�"))
}

// buffer returns the first size bytes of the guest's buffer, which it asks the guest to grow if need be. The slice is valid until the guest
// runs again.
func (in *instance) buffer(size int) ([]byte, error) {
	if uint32(size) > in.capacity {
		answer, err := in.call(in.grow, abi.ExportBuffer, uint64(size))
		address := uint32(answer)
		switch {
		case err != nil:
			return nil, err
		case address == 0:
			return nil, fault(Buffer, "%s(%d) refused", abi.ExportBuffer, size)
		case address%abi.Align != 0:
			return nil, fault(Buffer, "%s(%d) returned %d, which is no multiple of %d", abi.ExportBuffer, size, address, abi.Align)
		}
		in.address, in.capacity = address, uint32(size)
	}
	b, ok := in.memory.Read(in.address, uint32(size))
	if !ok {
		return nil, fault(Buffer, "its buffer of %d bytes at %d lies outside its memory", size, in.address)
	}
	return b, nil
}

// query lets the guest pick, with the fuel for each call. It returns an index of q's candidates, or abi.None.
func (in *instance) query(q *abi.Query, fuel int64) (int, error) {
	in.now = q.Now
	in.random.Seed(q.Random, q.Seq)
	in.fill(fuel)
	b, err := in.buffer(abi.Size(q))
	if err != nil {
		return 0, err
	}
	in.fill(fuel)
	n, err := in.call(in.pick, abi.ExportSelect, uint64(abi.Encode(b, q)))
	in.burned = fuel - int64(in.fuel.Get())
	switch {
	case err != nil:
		return 0, err
	case n != abi.None && (n < 0 || int(n) >= len(q.Candidates)):
		return 0, fault(Index, "%s returned %d of %d candidates", abi.ExportSelect, n, len(q.Candidates))
	}
	return int(n), nil
}

// tell passes an outcome to the guest, with the fuel for each call.
func (in *instance) tell(o *abi.Outcome, fuel int64) error {
	in.fill(fuel)
	b, err := in.buffer(abi.OutcomeSize)
	if err != nil {
		return err
	}
	abi.EncodeOutcome(b, o)
	in.fill(fuel)
	_, err = in.call(in.learn, abi.ExportObserve, abi.OutcomeSize)
	return err
}

// call calls one of the guest's functions, which has at most one argument and one result. It does not allocate.
func (in *instance) call(f api.Function, name string, argument uint64) (int32, error) {
	in.stack[0] = argument
	if err := f.CallWithStack(in.ctx, in.stack[:]); err != nil {
		return 0, in.explain(name, err)
	}
	return int32(uint32(in.stack[0])), nil
}

// close releases the instance's memory.
func (in *instance) close() error {
	return errors.Join(in.module.Close(in.ctx), in.linear.close())
}
