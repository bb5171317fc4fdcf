package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/berrygate/berry/config"
)

// listen takes an address: host:port, or unix:/path. A socket that a process left behind when it was killed is taken over; one that somebody
// answers at is not.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	network, at := config.Network(address)
	l, err := lc.Listen(ctx, network, at)
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) || !config.IsLeftSocket(ctx, at) {
		return l, err
	}
	if err := os.Remove(at); err != nil {
		return nil, fmt.Errorf("the socket that an earlier process left: %w", err)
	}
	return lc.Listen(ctx, network, at)
}
