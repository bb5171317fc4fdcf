// Package core is the vocabulary that every stage of Berry's pipeline shares: an Exchange is one client request on its way
// through the stages and what came of it, an Attempt is one try of one Backend, a Selector decides which, an Error is what
// the client is told when there is no answer.
package core

import (
	"context"
	"errors"

	"github.com/berrygate/berry/sdk/abi"
)

// A Plugin is one stage. Stages run in order; the first error ends the walk.
type Plugin interface {
	Handle(ctx context.Context, x *Exchange) error
}

// An Observer is told of every exchange when its answer has ended: refused, failed, panicked or served.
type Observer interface {
	Observe(ctx context.Context, x *Exchange)
}

// A Query is what a Selector decides by. It is the ABI's query: a strategy sees exactly this.
type Query = abi.Query

// A Selector returns the index of one of the query's candidates, or abi.None for none of them. It neither changes nor
// keeps the query. An error is a fault of the selector's own; somebody else then picks. It is safe for concurrent use.
type Selector interface {
	Select(ctx context.Context, q *Query) (int, error)
}

// A Meter is a Selector that tells what a pick has cost: units of fuel, about as many as instructions.
type Meter interface {
	Pick(ctx context.Context, q *Query) (index int, fuel int64, err error)
}

// ErrUnavailable is a selector that cannot be asked now, which was told when it began: somebody else picks, and that is no
// fault.
var ErrUnavailable = errors.New("not to be asked now")

// A OutcomeObserver wants to know how attempts end: a stateful strategy.
type OutcomeObserver interface {
	Learn(ctx context.Context, o *abi.Outcome) error
}
