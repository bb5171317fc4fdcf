package failurelimit

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// An address is blocked after its failures per minute until it may fail again; other addresses are not affected.
func TestLimiter(t *testing.T) {
	g, err := New(3)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	one, another := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, last := range []bool{false, false, true} {
		if wait := g.BlockedFor(one, now); wait != 0 {
			t.Errorf("failure %d: got blocked for %v, want not blocked", i, wait)
		}
		if got := g.Failed(one, now); got != last {
			t.Errorf("failure %d: got blocked %v, want %v", i, got, last)
		}
	}
	for at, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 15 * time.Second: 5 * time.Second, 20 * time.Second: 0} {
		if got := g.BlockedFor(one, now.Add(at)).Round(time.Millisecond); got != want {
			t.Errorf("after %v: got blocked for %v, want %v", at, got, want)
		}
	}
	if wait := g.BlockedFor(another, now); wait != 0 {
		t.Errorf("another address: got blocked for %v, want not blocked", wait)
	}
}

// All addresses of one customer count as one client.
func TestNetwork(t *testing.T) {
	for pair, same := range map[string]bool{
		"192.0.2.1 192.0.2.1":                 true,
		"192.0.2.1 192.0.2.2":                 false,
		"192.0.2.1 ::ffff:192.0.2.1":          true,
		"2001:db8:1:2::1 2001:db8:1:2:3:4::5": true,
		"2001:db8:1:2::1 2001:db8:1:3::1":     false,
		"fe80::1%eth0 fe80::2%eth1":           true,
		"nonsense unix":                       true,
		"nonsense 192.0.2.1":                  false,
	} {
		a, b, _ := strings.Cut(pair, " ")
		if (network(parseAddress(a)) == network(parseAddress(b))) != same {
			t.Errorf("%s: got networks %v and %v", pair, network(parseAddress(a)), network(parseAddress(b)))
		}
	}
}

// Only trusted proxies can set the client's address in X-Forwarded-For, with or without a port.
func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"direct":                         {"192.0.2.1:80", nil, "192.0.2.1"},
		"direct, forged header":          {"192.0.2.1:80", []string{"203.0.113.9"}, "192.0.2.1"},
		"through a proxy":                {"10.0.0.1:80", []string{"192.0.2.1"}, "192.0.2.1"},
		"through a proxy, forged header": {"10.0.0.1:80", []string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		"through two":                    {"10.0.0.1:80", []string{"203.0.113.9", "192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		"with a port":                    {"10.0.0.1:80", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		"with a port, IPv6":              {"[fd00::1]:80", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"in brackets":                    {"10.0.0.1:80", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"mapped":                         {"[::ffff:10.0.0.1]:80", []string{"192.0.2.1"}, "192.0.2.1"},
		"the proxy itself":               {"10.0.0.1:80", nil, "10.0.0.1"},
		"proxies alone":                  {"10.0.0.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"through a socket":               {"@", []string{"192.0.2.1"}, "127.0.0.1"},
		"no address":                     {"10.0.0.1:80", []string{"192.0.2.1, unknown"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.forwarded}}
		if got := ClientAddress(r, proxies); got.String() != test.want {
			t.Errorf("%s: got %v, want %s", name, got, test.want)
		}
	}
}
