package failurelimit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress returns who has sent the request: the other end of the connection; or, if that is a trusted proxy, the last
// address in X-Forwarded-For that is none. Who connects through a Unix socket is 127.0.0.1. The zero address is one that cannot be read.
func ClientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	if r.RemoteAddr == "" || r.RemoteAddr == "@" { // as net prints the other end of a Unix socket
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if len(proxies) == 0 {
		return address
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	forwarded := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, entry := range slices.Backward(forwarded) {
		if !trusted(address) || strings.TrimSpace(entry) == "" {
			break
		}
		address = parseAddress(entry)
	}
	return address
}

// parseAddress reads an address, with a port, as some proxies write it, or without.
func parseAddress(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	address, _ := netip.ParseAddr(strings.Trim(s, "[]")) // the zero address if it is none
	return address.Unmap().WithZone("")
}
