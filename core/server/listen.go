package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) || !isLeft(ctx, at) {
		return l, err
	}
	if err := os.Remove(at); err != nil {
		return nil, fmt.Errorf("the socket that an earlier process left: %w", err)
	}
	return lc.Listen(ctx, network, at)
}

// isLeft reports whether the file is a socket at which nobody listens.
func isLeft(ctx context.Context, path string) bool {
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // that it could be made is all that was to be known
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
