package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/berrygate/berry/config"
)

// listen listens on an address: host:port, or unix:/path. It replaces a socket that a killed process left behind, but not one on which a
// process listens, nor any other file.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	network, at := config.Network(address)
	l, err := lc.Listen(ctx, network, at)
	if network != "unix" {
		return l, err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if l, err = relisten(ctx, at, err); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return newSocket(l, at)
}

// relisten listens on a socket's path that is in use. If a process listens there, it returns inUse.
func relisten(ctx context.Context, path string, inUse error) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s exists and is not a socket; choose another path", path)
	}
	if !config.IsLeftSocket(ctx, path) {
		return nil, inUse
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("remove the socket that an earlier process left: %w", err)
	}
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}

// A socket is a listener on a Unix socket. Closing it removes the socket's file, unless that has become another process's.
type socket struct {
	*net.UnixListener
	path   string
	file   fs.FileInfo
	remove sync.Once
}

func newSocket(l net.Listener, path string) (net.Listener, error) {
	unix, ok := l.(*net.UnixListener)
	if !ok {
		return l, nil
	}
	unix.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{UnixListener: unix, path: path, file: file}, nil
}

// Close implements net.Listener.
func (s *socket) Close() error {
	s.remove.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			_ = os.Remove(s.path) // a file that stays is replaced by the next process
		}
	})
	return s.UnixListener.Close()
}
