// Package selector is the stage "select": it asks the model's strategy for the backend of the exchange's first attempt.
package selector

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/sdk/abi"
)

// Plugin is the stage "select".
type Plugin struct {
	catalog       *core.Catalog
	sessionHeader string
}

var _ core.Plugin = (*Plugin)(nil)

// New returns the stage. Requests with the same value in the session header share their affinity.
func New(catalog *core.Catalog, sessionHeader string) *Plugin {
	return &Plugin{catalog, sessionHeader}
}

// Handle draws the exchange's sequence number and begins its first attempt; relay ends it. It fails with
// no_backend_available if nobody can serve the model.
func (p *Plugin) Handle(ctx context.Context, x *core.Exchange) error {
	if err := p.catalog.Resolve(x); err != nil { // permission may have been left out
		return err
	}
	x.Seq = x.Model.Seq.Add(1) - 1
	x.Affinity = p.affinity(x)
	_, err := route.Next(ctx, x, x.Model.Backends, time.Now(), rand.Uint64())
	return err
}

// affinity is equal for requests of one session. It is never derived from the token.
func (p *Plugin) affinity(x *core.Exchange) uint64 {
	if session := x.Request.Header.Get(p.sessionHeader); session != "" {
		return abi.Hash(session)
	}
	if x.Body.User != "" {
		return abi.Hash(x.Body.User)
	}
	return abi.Hash(x.UserID())
}
