package core_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/berrygate/berry/core"
)

// Half of the cores work on large bodies, in the order of coming; small ones wait for nobody, nor does who has left.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large = core.LargeBody + 1
		turns := core.NewTurns()
		var ends []func()
		for range max(runtime.GOMAXPROCS(0)/2, 1) {
			end, err := turns.Take(t.Context(), "alice", large)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, end)
		}
		var order []int
		for i := range 3 {
			go func() {
				end, err := turns.Take(t.Context(), "alice", large)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				end()
			}()
			synctest.Wait()
		}
		if _, err := turns.Take(t.Context(), "alice", core.LargeBody); err != nil || len(order) > 0 {
			t.Errorf("a small body: %v; meanwhile %v large ones had a turn, want none", err, order)
		}
		gone := errors.New("the client has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if _, err := turns.Take(ctx, "alice", large); !errors.Is(err, gone) {
			t.Errorf("%v, want %v", err, gone)
		}
		ends[0]()
		synctest.Wait()
		if want := []int{0, 1, 2}; !slices.Equal(order, want) {
			t.Errorf("turns %v, want %v", order, want)
		}
		for _, end := range ends[1:] {
			end()
		}
	})
}
