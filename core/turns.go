package core

import (
	"context"
	"runtime"

	"github.com/berrygate/berry/core/fairsem"
)

// LargeBody is the size, in bytes, above which a body needs a turn.
const LargeBody = 256 << 10

// Turns keep large bodies from using all cores at once, which would delay all other requests: at most half of the cores parse and translate
// them, and users take turns. They are safe for concurrent use.
type Turns struct{ cores *fairsem.Semaphore }

// NewTurns returns turns for half of GOMAXPROCS, at least one.
func NewTurns() *Turns {
	return &Turns{fairsem.New(int64(max(runtime.GOMAXPROCS(0)/2, 1)))}
}

// Take waits for the turn of the user's body of size bytes; the caller must call end. It fails with ctx's cause. On nil Turns it does not wait.
func (t *Turns) Take(ctx context.Context, user string, size int) (end func(), err error) {
	if t == nil || size <= LargeBody {
		return func() {}, nil
	}
	if err := t.cores.Acquire(ctx, user, 1); err != nil {
		return nil, err
	}
	return func() { t.cores.Release(user, 1) }, nil
}
