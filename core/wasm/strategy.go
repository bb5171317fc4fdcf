package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// A Source is what a strategy is loaded from.
type Source struct {
	Name   string // as the config names it
	Module []byte // WebAssembly
	Config []byte // JSON for the guest; empty is {}
}

// A sourceKey tells sources apart.
type sourceKey struct {
	name   string
	module [sha256.Size]byte
	config string
}

// A Strategy is a loaded guest. It is safe for concurrent use: calls share a fixed number of instances, and wait for a
// free one.
type Strategy struct {
	Name     string
	Digest   string // SHA-256 of the module, in hexadecimal
	Stateful bool   // one instance, calls serialized, and Learn is heard

	engine *Engine
	key    sourceKey
	users  int // who have loaded and not closed it; guarded by Engine.mu
	once   sync.Once
	err    error // of loading it
	module *module
	log    *slog.Logger

	free     chan *slot
	rebuilds sync.WaitGroup
}

var (
	_ core.Selector = (*Strategy)(nil)
	_ core.Learner  = (*Strategy)(nil)
)

// A slot holds an instance or, when a fault cost it its life and its successor could not be made, why.
type slot struct {
	in  *instance
	err error
}

// Load compiles the source, instantiates it, configures it and lets it pick once, so that a module which cannot work fails
// here. A source that is loaded already gives the same strategy again, state and all. Whoever loads a strategy must Close it.
func (e *Engine) Load(ctx context.Context, src Source) (*Strategy, error) {
	if len(src.Config) == 0 {
		src.Config = []byte("{}")
	}
	key := sourceKey{src.Name, sha256.Sum256(src.Module), string(src.Config)}
	e.mu.Lock()
	s := e.strategies[key]
	if s == nil {
		s = &Strategy{
			Name: src.Name, Digest: hex.EncodeToString(key.module[:]), engine: e, key: key, log: e.log.With("strategy", src.Name),
		}
		e.strategies[key] = s
	}
	s.users++
	e.mu.Unlock()

	s.once.Do(func() { s.err = s.load(ctx, src.Module) })
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
	if err := s.fill(ctx); err != nil {
		return fmt.Errorf("wasm: load %s: %w", s.Name, err)
	}
	return nil
}

// fill makes the strategy's instances. The first one says how many there may be.
func (s *Strategy) fill(ctx context.Context) error {
	s.free = make(chan *slot, 1)
	first, err := s.build(ctx)
	if err != nil {
		return err
	}
	s.Stateful = first.stateful
	if _, err := first.query(sample()); err != nil {
		return errors.Join(fmt.Errorf("self-check: %w", err), first.close())
	}
	if s.Stateful {
		s.free <- &slot{in: first}
		return nil
	}
	s.free = make(chan *slot, runtime.GOMAXPROCS(0))
	s.free <- &slot{in: first}
	var g errgroup.Group
	for range cap(s.free) - 1 {
		g.Go(func() error {
			in, err := s.build(ctx)
			if err == nil {
				s.free <- &slot{in: in}
			}
			return err
		})
	}
	return g.Wait()
}

func (s *Strategy) build(ctx context.Context) (*instance, error) {
	return newInstance(ctx, s.engine.runtime, s.module, []byte(s.key.config), s.log)
}

// sample is a query of the self-check: three candidates about which little is known.
func sample() *core.Query {
	q := &core.Query{Model: "self-check", Candidates: make([]abi.Candidate, 3)}
	for i := range q.Candidates {
		q.Candidates[i] = abi.Candidate{ID: uint64(i), Weight: 1, Priority: int32(i), Success: 1}
	}
	return q
}

// Select asks the guest. It waits for a free instance, or until ctx is done. A fault costs the instance its life; a new
// one is made meanwhile.
func (s *Strategy) Select(ctx context.Context, q *core.Query) (int, error) {
	picked := 0
	err := s.with(ctx, func(in *instance) (err error) {
		picked, err = in.query(q)
		return err
	})
	return picked, err
}

// Learn tells a stateful guest how an attempt ended. To a stateless one it does nothing.
func (s *Strategy) Learn(ctx context.Context, o *abi.Outcome) error {
	if !s.Stateful {
		return nil
	}
	return s.with(ctx, func(in *instance) error { return in.tell(o) })
}

// with lends f an instance. If f fails, the instance is replaced.
func (s *Strategy) with(ctx context.Context, f func(*instance) error) error {
	var sl *slot
	select { // a free instance costs no look at ctx
	case sl = <-s.free:
	default:
		select {
		case sl = <-s.free:
		case <-ctx.Done():
			return fmt.Errorf("wasm: %s: waiting for an instance: %w", s.Name, context.Cause(ctx))
		}
	}
	err := sl.err
	if sl.in != nil {
		err = f(sl.in)
	}
	if err == nil {
		s.free <- sl
		return nil
	}
	s.rebuild(sl)
	return fmt.Errorf("wasm: %s: %w", s.Name, err)
}

// rebuild replaces the slot's instance, outside the request's path.
func (s *Strategy) rebuild(sl *slot) {
	s.rebuilds.Go(func() {
		if sl.in != nil {
			_ = sl.in.close() // it has faulted already, and that was told
		}
		sl.in, sl.err = s.build(context.Background())
		s.free <- sl
	})
}

// Close gives the strategy back. The last one who does frees its instances and, if no other strategy shares it, its code;
// then no call may be under way.
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
