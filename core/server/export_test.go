package server

import (
	"context"
	"net"

	"github.com/berrygate/berry/core"
)

// Operations lets tests outside walk the table.
func Operations() []core.Operation { return operations() }

// ListenAt lets tests listen as the gateway does.
func ListenAt(ctx context.Context, address string) (net.Listener, error) { return listen(ctx, address) }
