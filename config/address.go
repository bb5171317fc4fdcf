package config

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Network returns the network and the address of a listener, for net.Listen: host:port is TCP's, unix:/path a Unix socket's.
func Network(address string) (network, at string) {
	if path, ok := unixSocket(address); ok {
		return "unix", path
	}
	return "tcp", address
}

// Endpoint returns the provider's base URL, and the Unix socket behind which it answers; "" if it is reached by TCP. The base URL
// unix:/run/vllm.sock:/v1 is the path /v1 behind the socket /run/vllm.sock, as nginx writes it.
func (p *Provider) Endpoint() (url, socket string) {
	at, ok := unixSocket(p.BaseURL)
	if !ok {
		return p.BaseURL, ""
	}
	socket, path, found := strings.Cut(at, ":/")
	if !found {
		return "http://localhost", socket
	}
	return "http://localhost/" + path, socket
}

// unixSocket returns what follows unix:, as a path; unix:///path is the same as unix:/path.
func unixSocket(address string) (path string, ok bool) {
	path, ok = strings.CutPrefix(address, "unix:")
	if strings.HasPrefix(path, "///") {
		path = path[2:]
	}
	return path, ok
}

// Taken returns a warning for each listener whose address cannot be had now. It leaves no socket behind, and removes none.
func (c *Config) Taken(ctx context.Context) []Problem {
	ps := problems{}
	var held []net.Listener // until both are tried: they may be in each other's way
	for _, l := range []struct{ path, address string }{{"server.listen", c.Server.Listen}, {"server.admin_listen", c.Server.AdminListen}} {
		network, at := Network(l.address)
		if network == "unix" {
			if problem := socketTaken(ctx, at); problem != "" {
				ps.warn(l.path, "%s", problem)
			}
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, network, at)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			ps.warn(l.path, "%s is taken; if this gateway is not running already, stop the program that listens there, or choose another port", l.address)
		case err != nil:
			ps.warn(l.path, "%v", err)
		default:
			held = append(held, listener)
		}
	}
	for _, l := range held {
		_ = l.Close()
	}
	return ps.warnings
}

// socketTaken says why a Unix socket cannot be made at the path; "" if it can. One that a process left behind when it was killed can be.
func socketTaken(ctx context.Context, path string) string {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(filepath.Dir(path)); err == nil {
			return ""
		}
	}
	if err != nil {
		return err.Error()
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return path + " is there already and no socket; choose another path"
	}
	if IsLeftSocket(ctx, path) {
		return ""
	}
	return path + " is taken; if this gateway is not running already, stop the program that listens there, or choose another path"
}

// IsLeftSocket reports whether the file is a Unix socket at which nobody listens, since the process that made it was killed.
func IsLeftSocket(ctx context.Context, path string) bool {
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // that it could be made is all that was to be known
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
