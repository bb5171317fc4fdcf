// Package fairsem has a weighted semaphore that is fair between users: however many requests of one user wait, another user's waits for one of
// them at most.
package fairsem

import (
	"context"
	"slices"
	"sync"
)

// A Semaphore limits the weight that is held at once. It is safe for concurrent use.
type Semaphore struct {
	mu      sync.Mutex
	free    int64
	waiting []*waiter        // in the order of arrival
	users   map[string]*user // that wait or hold
	grants  uint64
}

// A user is one that waits or holds.
type user struct {
	latest uint64 // number of the latest grant
	uses   int    // waits and holds
}

type waiter struct {
	user    *user
	weight  int64
	granted chan struct{}
}

// New returns a semaphore of the size.
func New(size int64) *Semaphore { return &Semaphore{free: size, users: map[string]*user{}} }

// Acquire waits until the user holds the weight, which must not exceed the semaphore's size. Among those that wait, the user whose latest turn is
// longest ago is next; a user's own requests keep their order. It fails with ctx's cause.
func (s *Semaphore) Acquire(ctx context.Context, name string, weight int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	u := s.users[name]
	if u == nil {
		u = &user{}
		s.users[name] = u
	}
	u.uses++
	w := &waiter{u, weight, make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.grant()
	s.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		return s.leave(w, name, context.Cause(ctx))
	}
}

// leave ends a wait, unless it has been granted meanwhile.
func (s *Semaphore) leave(w *waiter, name string, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, w)
	if i < 0 {
		return nil
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.drop(name)
	s.grant() // those behind it may fit
	return cause
}

// Release gives back the weight that the user holds.
func (s *Semaphore) Release(name string, weight int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += weight
	s.drop(name)
	s.grant()
}

// grant serves those that are next and fit. One that does not fit holds up the others, or it could wait for ever. The lock is held.
func (s *Semaphore) grant() {
	for len(s.waiting) > 0 {
		next := 0
		for i, w := range s.waiting {
			if w.user.latest < s.waiting[next].user.latest {
				next = i
			}
		}
		w := s.waiting[next]
		if w.weight > s.free {
			return
		}
		s.free -= w.weight
		s.grants++
		w.user.latest = s.grants
		s.waiting = slices.Delete(s.waiting, next, next+1)
		close(w.granted)
	}
}

// drop ends a wait or a hold of the user. The lock is held.
func (s *Semaphore) drop(name string) {
	u := s.users[name]
	if u.uses--; u.uses == 0 {
		delete(s.users, name)
	}
}
