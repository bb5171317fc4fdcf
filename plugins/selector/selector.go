// Package selector is the stage "select": the model's strategy picks the backend of the exchange's first attempt.
package selector

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/sdk/abi"
)

// Options are the operator's settings of selection.
type Options struct {
	SessionHeader string        // requests with the same value of this header share their affinity
	Total         time.Duration // timeout until the response begins; 0: none
}

// Plugin is the stage "select".
type Plugin struct {
	catalog *core.Catalog
	options Options
}

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage for the models of the catalog.
func New(catalog *core.Catalog, o Options) *Plugin { return &Plugin{catalog, o} }

// Handle sets the exchange's deadline, takes a sequence number and begins the first attempt; relay ends it. It fails with
// no_backend_available if no backend is available.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	if err := p.catalog.Resolve(x); err != nil { // the pipeline may have no permission
		return err
	}
	if err := p.setDeadline(x); err != nil {
		return err
	}
	x.Seq = x.Model.Seq.Add(1) - 1
	x.Affinity = p.affinity(x)
	_, err := route.Next(ctx, x, x.Model.Backends, time.Now(), rand.Uint64())
	return err
}

// requestTimeout is the header in which a client says how many seconds it waits for the response.
const requestTimeout = "X-Request-Timeout"

// setDeadline limits the time from now, when the request has arrived, until the response begins: by the operator's timeout, or the client's
// if that is shorter.
func (p *Plugin) setDeadline(x *core.Exchange) error {
	limit := p.options.Total
	if text := x.Request.Header.Get(requestTimeout); text != "" {
		const longest = 1 << 32 // seconds; a Duration has room for twice as many
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0) {
			return apierror.Invalid(http.StatusBadRequest, apierror.CodeInvalidTimeout, requestTimeout,
				"The header %s must be a number of seconds above 0, such as 20 or 1.5.", requestTimeout)
		}
		own := max(time.Duration(min(seconds, longest)*float64(time.Second)), time.Millisecond)
		if limit == 0 || own < limit {
			limit, x.ClientDeadline = own, true
		}
	}
	if limit > 0 {
		x.Deadline = time.Now().Add(limit)
	}
	return nil
}

// affinity is equal for the requests of one session. It is never derived from the token.
func (p *Plugin) affinity(x *core.Exchange) uint64 {
	if session := x.Request.Header.Get(p.options.SessionHeader); session != "" {
		return abi.Hash(session)
	}
	if x.Body.User != "" {
		return abi.Hash(x.Body.User)
	}
	return abi.Hash(x.UserID())
}
