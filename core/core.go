// Package core is the vocabulary that the stages of Berry's pipeline share: an Exchange is one client request on its way through the stages,
// an Attempt is one try of one Backend, a Selector picks the backend.
package core

import (
	"context"
	"errors"

	"github.com/berrygate/berry/sdk/abi"
)

// A Plugin is one stage of the pipeline. Stages run in order; the first error ends the run.
type Plugin interface {
	Handle(ctx context.Context, x *Exchange) error
}

// An Observer is called once for every exchange when it has ended: refused, failed, panicked or served.
type Observer interface {
	Observe(ctx context.Context, x *Exchange)
}

// A Query is the input of a Selector. It is the ABI's query: a strategy sees exactly this.
type Query = abi.Query

// A Selector picks one of the query's candidates. It neither changes nor keeps the query. An error is a fault of the selector; a fallback then
// picks. It is safe for concurrent use.
type Selector interface {
	// Select picks. It may wait for its turn until ctx is done.
	Select(ctx context.Context, q *Query) (Pick, error)
	// TrySelect picks without waiting. It fails with ErrUnavailable if it would have to.
	TrySelect(ctx context.Context, q *Query) (Pick, error)
}

// A Pick is a selector's choice.
type Pick struct {
	Index int   // of the query's candidates, or abi.None for none of them
	Fuel  int64 // that it cost, in units of about one instruction; 0 if that is not known
}

// ErrUnavailable reports that a strategy is temporarily disabled; the caller uses the next one and does not count a fault.
var ErrUnavailable = errors.New("not to be asked now")

// An OutcomeObserver observes how attempts end: a stateful strategy.
type OutcomeObserver interface {
	Learn(ctx context.Context, o *abi.Outcome) error
}
