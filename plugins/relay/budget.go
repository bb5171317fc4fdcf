package relay

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/fairsem"
	"github.com/berrygate/berry/core/provider/adapter"
)

const turnTime = 10 * time.Second // timeout of a request's wait for memory

// The memory that a translation takes at most, as measured by TestFiveLargeBodiesAtOnce and TestAnswersOfManyElements.
const (
	perByte         = 6
	perElement      = 700
	perEventElement = 3000 // each may become a chunk
)

// A Budget limits the memory of all large translations together. Translations that do not fit wait; users take turns. It is safe for
// concurrent use.
type Budget struct {
	size    int64
	free    *fairsem.Semaphore
	buffers *semaphore.Weighted // of large events that have not arrived whole: as much again
}

// NewBudget returns a budget of size bytes.
func NewBudget(size int64) *Budget {
	return &Budget{size, fairsem.New(size), semaphore.NewWeighted(size)}
}

// Size returns the budget in bytes.
func (b *Budget) Size() int64 { return b.size }

// take waits until there is memory and a core for a body; end gives both back. It fails with ctx's cause.
func (b *Budget) take(ctx context.Context, user string, body []byte, perComma int64) (end func(), err error) {
	need := min(perByte*int64(len(body))+perComma*int64(bytes.Count(body, []byte(","))), b.size) // commas in strings count, too
	if err := b.free.Acquire(ctx, user, need); err != nil {
		return nil, err
	}
	return func() { b.free.Release(user, need) }, nil
}

// takeTurn is take for the client's request, with a timeout. The attempt's timer pauses meanwhile.
func (t *attemptRun) takeTurn() (end func(), err error) {
	if len(t.x.Body.Bytes) <= core.LargeBody {
		return func() {}, nil
	}
	defer t.limit.stand()()
	ctx, cancel := context.WithTimeoutCause(t.ctx, turnTime, &apierror.Error{
		Status: http.StatusServiceUnavailable, Type: apierror.TypeServer, Code: apierror.CodeOverloaded, RetryAfter: turnTime,
		Message: "The gateway has as many large requests to translate as its memory allows; try again soon.",
	})
	defer cancel()
	return t.take(ctx, t.x.Body.Bytes, perElement)
}

// take waits until there is memory and a core for a body, and returns what gives both back. It fails with ctx's cause.
func (t *attemptRun) take(ctx context.Context, body []byte, perComma int64) (end func(), err error) {
	if len(body) <= core.LargeBody {
		return func() {}, nil
	}
	release, err := t.options.Budget.take(ctx, t.x.UserID(), body, perComma)
	if err != nil {
		return nil, err
	}
	finish, err := t.x.Turns.Take(ctx, t.x.UserID(), len(body))
	if err != nil {
		release()
		return nil, err
	}
	return func() { finish(); release() }, nil
}

// A budgeted response is translated within the budget.
type budgeted struct {
	adapter.ResponseTranslator
	try *attemptRun
}

func (a budgeted) Body(body []byte) ([]byte, error) {
	end, err := a.try.take(a.try.ctx, body, perElement)
	if err != nil {
		return nil, err
	}
	defer end()
	return a.ResponseTranslator.Body(body)
}

func (a budgeted) Event(dst, data []byte) ([]byte, bool) {
	end, err := a.try.take(a.try.ctx, data, perEventElement)
	if err != nil {
		return dst, true // the client has disconnected
	}
	defer end()
	return a.ResponseTranslator.Event(dst, data)
}

// errNoMemory ends a stream whose event does not fit into the budget beside the others.
var errNoMemory = errors.New("the budget for large events is used up")

// An eventBuffers accounts for the memory of one stream's large events. It never waits: streams that each hold a part of an event and wait
// for memory would deadlock.
type eventBuffers struct {
	budget *Budget
	held   int64
}

// resize accounts for the new size of a buffer.
func (e *eventBuffers) resize(from, to int) error {
	const usual = 1 << 20 // not counted
	grown := int64(max(to, usual) - max(from, usual))
	switch {
	case e.budget == nil:
		return nil
	case grown > 0 && !e.budget.buffers.TryAcquire(grown):
		return errNoMemory
	case grown < 0:
		e.budget.buffers.Release(-grown)
	}
	e.held += grown
	return nil
}

// release gives back what the stream still holds.
func (e *eventBuffers) release() {
	if e.held > 0 {
		e.budget.buffers.Release(e.held)
		e.held = 0
	}
}
