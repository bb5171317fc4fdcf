package core

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// LargeBody is how many bytes a body has at most that needs no turn.
const LargeBody = 256 << 10

// Turns keeps large bodies from using all cores at once, which would make every other request wait: they are parsed and translated on half of
// the cores at most, in the order of coming. It is safe for concurrent use.
type Turns struct{ cores *semaphore.Weighted }

// NewTurns returns the turns of this process, whose number of cores is known by GOMAXPROCS.
func NewTurns() *Turns {
	return &Turns{semaphore.NewWeighted(int64(max(runtime.GOMAXPROCS(0)/2, 1)))}
}

// Take waits for the turn of a body of size bytes; end ends the turn. It fails with ctx's cause. On nil Turns nobody waits.
func (t *Turns) Take(ctx context.Context, size int) (end func(), err error) {
	if t == nil || size <= LargeBody {
		return func() {}, nil
	}
	if t.cores.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	return func() { t.cores.Release(1) }, nil
}
