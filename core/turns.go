package core

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// LargeBody is the size, in bytes, above which a body needs a turn.
const LargeBody = 256 << 10

// Turns keep large bodies from using all cores at once, which would delay all other requests: at most half of the cores parse and translate
// them, first come, first served. They are safe for concurrent use.
type Turns struct{ cores *semaphore.Weighted }

// NewTurns returns turns for half of GOMAXPROCS, at least one.
func NewTurns() *Turns {
	return &Turns{semaphore.NewWeighted(int64(max(runtime.GOMAXPROCS(0)/2, 1)))}
}

// Take waits for the turn of a body of size bytes; the caller must call end. It fails with ctx's cause. On nil Turns it does not wait.
func (t *Turns) Take(ctx context.Context, size int) (end func(), err error) {
	if t == nil || size <= LargeBody {
		return func() {}, nil
	}
	if t.cores.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	return func() { t.cores.Release(1) }, nil
}
