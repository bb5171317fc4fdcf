package fairsem_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berrygate/berry/core/fairsem"
)

// queue has the users acquire the weights in this order, one after the other, and returns the order in which they are granted: each holds its
// weight for a second.
func queue(t *testing.T, size int64, users string, weights ...int64) string {
	t.Helper()
	s := fairsem.New(size)
	var mu sync.Mutex
	var order strings.Builder
	var all sync.WaitGroup
	for i, user := range strings.Split(users, "") {
		all.Go(func() {
			if err := s.Acquire(t.Context(), user, weights[i%len(weights)]); err != nil {
				t.Error(err)
			}
			mu.Lock()
			order.WriteString(user)
			mu.Unlock()
			time.Sleep(time.Second)
			s.Release(user, weights[i%len(weights)])
		})
		synctest.Wait()
	}
	all.Wait()
	return order.String()
}

// Users take turns, however many requests each has; one user's keep their order, and a large one is not overtaken for ever.
func TestOrder(t *testing.T) {
	for _, test := range []struct {
		users   string
		weights []int64
		want    string
	}{
		{"aaaa", []int64{1}, "aaaa"},
		{"aaaaab", []int64{1}, "abaaaa"},
		{"aaaabbc", []int64{1}, "abcabaa"},
		{"abcabc", []int64{1}, "abcabc"},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := queue(t, 1, test.users, test.weights...); got != test.want {
				t.Errorf("%s: got %s, want %s", test.users, got, test.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if got := queue(t, 3, "abcd", 2, 3, 1, 1); !strings.HasPrefix(got, "ab") {
			t.Errorf("a large one among small ones: got %s, want ab before the others", got)
		}
	})
}

// Whoever leaves gives its place to those behind it, and holds nothing.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairsem.New(2)
		if err := s.Acquire(t.Context(), "a", 1); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("the client has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		left, served := make(chan error, 1), make(chan error, 1)
		go func() { left <- s.Acquire(ctx, "b", 2) }()
		synctest.Wait()
		go func() { served <- s.Acquire(t.Context(), "c", 1) }()
		synctest.Wait()
		cancel(gone)
		if err := <-left; !errors.Is(err, gone) {
			t.Errorf("got %v, want %v", err, gone)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := s.Acquire(ctx, "b", 1); !errors.Is(err, gone) {
			t.Errorf("of one that has left before: got %v, want %v", err, gone)
		}
	})
}

// Many users acquire, leave and release at once: never more than the size is held, and in the end all of it is free.
func TestHammer(t *testing.T) {
	const size = 10
	s := fairsem.New(size)
	var held atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(200))*time.Microsecond)
				weight := rand.Int64N(size) + 1
				user := string(rune('a' + i%7))
				if s.Acquire(ctx, user, weight) == nil {
					if now := held.Add(weight); now > size {
						t.Errorf("%d are held, want at most %d", now, size)
					}
					held.Add(-weight)
					s.Release(user, weight)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if err := s.Acquire(t.Context(), "z", size); err != nil {
		t.Error(err)
	}
}
