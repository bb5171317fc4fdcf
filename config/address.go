package config

import "strings"

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
