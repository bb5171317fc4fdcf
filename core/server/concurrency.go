package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
)

// places are the exchanges in flight, whose number [server] max_in_flight limits. An exchange takes a place when its body has arrived, or
// passes as it arrives. Bodies that are arriving take none, since they may be slow; their number is limited per user.
type places struct {
	mu    sync.Mutex
	taken int
	users map[string]arrivals // by id
}

// arrivals are a user's bodies that are arriving.
type arrivals struct {
	held    int // into memory; the exchange has no place yet
	passing int // passing as they arrive; the exchange has a place
}

// A place is one exchange's.
type place struct {
	*places
	x     *core.Exchange
	most  int
	has   arrivals // the exchange's share
	taken bool
}

var _ core.Place = (*place)(nil)

// Arrive implements core.Place. As many bodies of a user may be arriving as there are places.
func (p *place) Arrive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.places.taken >= p.most:
		return overloaded()
	case p.users[p.x.UserID()].held >= p.most:
		return tooManyArrive()
	}
	p.set(arrivals{held: 1})
	return nil
}

// Enter implements core.Place. A user's bodies that pass as they arrive may take half of the places.
func (p *place) Enter(arrived bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.places.taken >= p.most:
		return overloaded()
	case arrived:
		p.set(arrivals{})
	case p.users[p.x.UserID()].passing >= max(p.most/2, 1):
		return tooManyArrive()
	default:
		p.set(arrivals{passing: 1})
	}
	p.places.taken++
	p.taken = true
	return nil
}

// leave gives the place back.
func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(arrivals{})
	if p.taken {
		p.places.taken--
	}
}

// set records the state of the exchange's body. The lock is held.
func (p *place) set(now arrivals) {
	id := p.x.UserID()
	all := p.users[id]
	all.held += now.held - p.has.held
	all.passing += now.passing - p.has.passing
	p.has = now
	switch {
	case all == arrivals{}:
		delete(p.users, id)
	case p.users == nil:
		p.users = map[string]arrivals{id: all}
	default:
		p.users[id] = all
	}
}

// overloaded returns the error of an exchange above the limit.
func overloaded() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusServiceUnavailable, Type: apierror.TypeServer, Code: apierror.CodeOverloaded, RetryAfter: time.Second,
		Message: "The gateway has as many requests under way as it takes at once; try again soon.",
	}
}

// tooManyArrive returns the error of a body above its user's limit.
func tooManyArrive() *apierror.Error {
	e := apierror.Invalid(http.StatusTooManyRequests, apierror.CodeOverloaded, "", "As many of your requests are still being sent as the gateway takes of one user; send some to their end first.")
	e.RetryAfter = time.Second
	return e
}
