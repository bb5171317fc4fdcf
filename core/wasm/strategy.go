package wasm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// A Source is what a strategy is loaded from.
type Source struct {
	Name   string // in the config
	Module []byte // WebAssembly
	Config []byte // JSON for the guest; empty: {}
	Fuel   int64  // of one call; 0: DefaultFuel
	Memory int    // of one instance, in bytes; 0: DefaultMemory
}

// A sourceKey identifies a source.
type sourceKey struct {
	name   string
	module [sha256.Size]byte
	config string
	fuel   int64
	memory int
}

// A Strategy is a loaded guest. It is safe for concurrent use: calls share a fixed number of instances, and wait for a free one.
type Strategy struct {
	Name     string
	Digest   string // SHA-256 of the module, in hexadecimal
	Stateful bool   // one instance, serialized calls, and Learn

	engine *Engine
	key    sourceKey
	source Source // without the module
	users  int    // loads minus closes; guarded by Engine.mu
	once   sync.Once
	err    error // of loading it
	module *module
	log    *slog.Logger
	guests *guestLog

	free       chan *slot
	alive      atomic.Int32 // slots with an instance
	rebuilds   sync.WaitGroup
	quarantine quarantine
	spent      fuelHistogram // of picks
}

var (
	_ core.Selector        = (*Strategy)(nil)
	_ core.OutcomeObserver = (*Strategy)(nil)
)

// A slot contains an instance or, if it could not be replaced after a fault, the error.
type slot struct {
	in  *instance
	err error
}

// Load compiles the source, instantiates it, configures it and lets it pick once, so that a broken module fails here. A source that is
// loaded already returns the same strategy with its state. The caller must Close the strategy.
func (e *Engine) Load(ctx context.Context, src Source) (*Strategy, error) {
	if len(src.Config) == 0 {
		src.Config = []byte("{}")
	}
	src.Fuel, src.Memory = cmp.Or(src.Fuel, DefaultFuel), cmp.Or(src.Memory, DefaultMemory)
	bytes := src.Module
	src.Module = nil
	key := sourceKey{src.Name, sha256.Sum256(bytes), string(src.Config), src.Fuel, src.Memory}
	e.mu.Lock()
	s := e.strategies[key]
	if s == nil {
		s = &Strategy{
			Name: src.Name, Digest: hex.EncodeToString(key.module[:]), engine: e, key: key, source: src,
			log: e.log, guests: newGuestLog(e.log, src.Name),
		}
		e.strategies[key] = s
	}
	s.users++
	e.mu.Unlock()

	s.once.Do(func() { s.err = s.load(context.WithoutCancel(ctx), bytes) }) // others wait for it, too
	if s.err != nil {
		return nil, errors.Join(s.err, s.Close(ctx))
	}
	return s, nil
}

func (s *Strategy) load(ctx context.Context, bytes []byte) error {
	m, err := s.engine.compile(ctx, s.Name, bytes, s.key.module)
	if err != nil {
		return err
	}
	s.module = m
	if least := uint64(m.compiled.ExportedMemories()[abi.ExportMemory].Min()) << 16; least > uint64(s.source.Memory) {
		return fmt.Errorf("wasm: load %s: %w: it begins with %d MiB of memory; its memory_mb allows %d", s.Name, ErrGuest, least>>20, s.source.Memory>>20)
	}
	if err := s.fill(ctx); err != nil {
		return fmt.Errorf("wasm: load %s: %w", s.Name, err)
	}
	return nil
}

// fill makes the strategy's instances. The first one shows how many there may be.
func (s *Strategy) fill(ctx context.Context) error {
	first, err := s.build(ctx)
	if err != nil {
		return err
	}
	s.Stateful = first.stateful
	if _, err := first.query(probeQuery(), s.source.Fuel); err != nil {
		return errors.Join(fmt.Errorf("self-check: %w", err), first.close())
	}
	n := 1
	if !s.Stateful {
		n = runtime.GOMAXPROCS(0)
	}
	s.free = make(chan *slot, n)
	s.add(first)
	var g errgroup.Group
	for range n - 1 {
		g.Go(func() error {
			in, err := s.build(ctx)
			if err == nil {
				s.add(in)
			}
			return err
		})
	}
	return g.Wait()
}

func (s *Strategy) add(in *instance) {
	s.alive.Add(1)
	s.free <- &slot{in: in}
}

func (s *Strategy) build(ctx context.Context) (*instance, error) {
	return newInstance(ctx, s.engine.runtime, s.module, &s.source, s.guests)
}

// Select implements core.Selector. It waits for a free instance. A fault replaces the instance. In quarantine, and while every instance is being
// replaced, it fails with core.ErrUnavailable.
func (s *Strategy) Select(ctx context.Context, q *core.Query) (core.Pick, error) {
	return s.pick(ctx, q, s.take)
}

// TrySelect implements core.Selector. It fails with core.ErrUnavailable if no instance is free, too.
func (s *Strategy) TrySelect(ctx context.Context, q *core.Query) (core.Pick, error) {
	return s.pick(ctx, q, s.tryTake)
}

func (s *Strategy) pick(ctx context.Context, q *core.Query, take func(context.Context) (*slot, error)) (p core.Pick, err error) {
	allowed, trial := s.quarantine.enter(time.Now)
	if !allowed {
		return core.Pick{}, s.unavailable(false)
	}
	err = s.with(ctx, trial, take, func(in *instance) (err error) {
		p.Index, err = in.query(q, s.source.Fuel)
		p.Fuel = in.burned
		s.spent.add(p.Fuel)
		return err
	})
	return p, err
}

// Learn reports to a stateful guest how an attempt ended. It does nothing for a stateless one. In quarantine it fails with
// core.ErrUnavailable: success would not show that the guest can pick.
func (s *Strategy) Learn(ctx context.Context, o *abi.Outcome) error {
	if !s.Stateful {
		return nil
	}
	return s.with(ctx, false, s.take, func(in *instance) error { return in.tell(o, s.source.Fuel) })
}

// with calls f with an instance, which it gets from take. If f fails, the instance is replaced. A trial is what may be tried in quarantine.
func (s *Strategy) with(ctx context.Context, trial bool, take func(context.Context) (*slot, error), f func(*instance) error) error {
	if s.alive.Load() == 0 {
		return s.unavailable(trial)
	}
	sl, err := take(ctx)
	if err != nil {
		return s.forgo(trial, err)
	}
	if !trial && s.quarantine.closed.Load() { // it may have begun during the wait
		s.free <- sl
		return s.unavailable(false)
	}
	if err = sl.err; sl.in != nil {
		err = f(sl.in)
	}
	if err != nil {
		s.note(err, trial)
		s.rebuild(sl)
		return fmt.Errorf("wasm: %s: %w", s.Name, err)
	}
	s.free <- sl
	if trial {
		s.quarantine.leave(time.Now(), true)
		s.log.Info("strategy is out of quarantine", "strategy", s.Name)
	}
	return nil
}

// take waits for an instance, or until ctx is done.
func (s *Strategy) take(ctx context.Context) (*slot, error) {
	select { // a free instance needs no check of ctx
	case sl := <-s.free:
		return sl, nil
	default:
	}
	select {
	case sl := <-s.free:
		return sl, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wasm: %s: waiting for an instance: %w", s.Name, context.Cause(ctx))
	}
}

// tryTake returns an instance, if one is free.
func (s *Strategy) tryTake(context.Context) (*slot, error) {
	select {
	case sl := <-s.free:
		return sl, nil
	default:
		return nil, fmt.Errorf("wasm: %s: every instance is busy: %w", s.Name, core.ErrUnavailable)
	}
}

func (s *Strategy) unavailable(trial bool) error {
	return s.forgo(trial, fmt.Errorf("wasm: %s: %w", s.Name, core.ErrUnavailable))
}

// forgo returns err, of a call that did not reach the guest.
func (s *Strategy) forgo(trial bool, err error) error {
	if trial {
		s.quarantine.leave(time.Now(), false)
	}
	return err
}

// note records a fault.
func (s *Strategy) note(err error, trial bool) {
	var f *FaultError
	if !errors.As(err, &f) {
		f = &FaultError{Instance, err}
	}
	if began, until := s.quarantine.fault(time.Now(), f, trial); began {
		s.log.Warn("strategy quarantined; its fallback serves", "strategy", s.Name, "until", until.Format(time.TimeOnly), "last_fault", f.Error())
	}
}

// rebuild replaces the slot's instance in the background.
func (s *Strategy) rebuild(sl *slot) {
	s.alive.Add(-1)
	s.rebuilds.Go(func() {
		if sl.in != nil {
			_ = sl.in.close() // its fault was reported
		}
		sl.in, sl.err = s.build(context.Background())
		s.alive.Add(1)
		s.free <- sl
	})
}

// Standing returns the strategy's faults at now.
func (s *Strategy) Standing(now time.Time) Standing { return s.quarantine.standing(now) }

// Close releases the strategy. The last user frees its instances and, if no other strategy shares it, its code; no call may be in progress
// then.
func (s *Strategy) Close(ctx context.Context) error {
	s.engine.mu.Lock()
	s.users--
	last := s.users == 0
	if last {
		delete(s.engine.strategies, s.key)
	}
	s.engine.mu.Unlock()
	if !last || s.module == nil {
		return nil
	}
	s.rebuilds.Wait()
	var errs []error
	for {
		select {
		case sl := <-s.free:
			if sl.in != nil {
				errs = append(errs, sl.in.close())
			}
		default:
			return errors.Join(append(errs, s.engine.release(ctx, s.module))...)
		}
	}
}
