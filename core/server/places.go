package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
)

// places are those of the exchanges under way, of which [server] max_in_flight bounds the number. An exchange takes one when its body is
// here, or passes as it comes. Bodies on their way in take none, since they may trickle in; what a user may have of them is bounded apart.
type places struct {
	mu    sync.Mutex
	taken int
	users map[string]arrivals // by their ids, while they have any
}

// arrivals are a user's bodies on their way in.
type arrivals struct {
	held    int // in memory, by exchanges that have no place yet
	passing int // as they come, by exchanges that have one
}

// A place is one exchange's, which may take it.
type place struct {
	*places
	x     *core.Exchange
	most  int
	has   arrivals // the exchange's own, of the user's
	taken bool
}

var _ core.Place = (*place)(nil)

// Arrive implements core.Place. As many of a user's bodies may be on their way in as there are places.
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

// Enter implements core.Place. Of the places, half may be taken by a user's bodies that pass as they come.
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

// leave ends what the exchange has of the places.
func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(arrivals{})
	if p.taken {
		p.places.taken--
	}
}

// set says what the exchange's body does now. The lock is held.
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

// overloaded returns the error of an exchange that is one more than the gateway takes at once.
func overloaded() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusServiceUnavailable, Type: apierror.TypeServer, Code: apierror.CodeOverloaded, RetryAfter: time.Second,
		Message: "The gateway has as many requests under way as it takes at once; try again soon.",
	}
}

// tooManyArrive returns the error of one body more than a user may have on their way in.
func tooManyArrive() *apierror.Error {
	e := apierror.Invalid(http.StatusTooManyRequests, apierror.CodeOverloaded, "", "As many of your requests are still being sent as the gateway takes of one user; send some to their end first.")
	e.RetryAfter = time.Second
	return e
}
