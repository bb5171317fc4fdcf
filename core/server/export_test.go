package server

import (
	"context"
	"net"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/api/endpoints"
)

// Operations lets tests outside walk the table.
func Operations() []core.Operation { return endpoints.All() }

// ListenAt lets tests listen as the gateway does.
func ListenAt(ctx context.Context, address string) (net.Listener, error) { return listen(ctx, address) }
