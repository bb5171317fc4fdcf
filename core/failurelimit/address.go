package failurelimit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress returns the client's address: the peer of the connection or, if that is a trusted proxy, the last address in X-Forwarded-For
// that is not one. The address of a client on a Unix socket is 127.0.0.1. The result is the zero address if the address cannot be parsed.
func ClientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	if r.RemoteAddr == "" || r.RemoteAddr == "@" { // how net formats the peer of a Unix socket
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

// parseAddress parses an address with an optional port, which some proxies add.
func parseAddress(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	address, _ := netip.ParseAddr(strings.Trim(s, "[]")) // the zero address on an error
	return address.Unmap().WithZone("")
}
