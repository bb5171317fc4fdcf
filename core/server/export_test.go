package server

import (
	"context"
	"net"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/endpoints"
)

// Operations exports the table of operations to external tests.
func Operations() []core.Operation { return endpoints.All() }

// ListenAt exports listen to external tests.
func ListenAt(ctx context.Context, address string) (net.Listener, error) { return listen(ctx, address) }
