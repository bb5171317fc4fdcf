package auth

import (
	"strings"
	"testing"
	"time"
)

// An address has so many failures a minute, and then waits for the next; others are not touched.
func TestGuard(t *testing.T) {
	g, err := newGuard(3)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	for i, last := range []bool{false, false, true} {
		if wait := g.turnedAway("192.0.2.1", now); wait != 0 {
			t.Errorf("failure %d: turned away for %v", i, wait)
		}
		if got := g.failed("192.0.2.1", now); got != last {
			t.Errorf("failure %d: the last one: %v", i, got)
		}
	}
	for at, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 15 * time.Second: 5 * time.Second, 20 * time.Second: 0} {
		if got := g.turnedAway("192.0.2.1", now.Add(at)).Round(time.Millisecond); got != want {
			t.Errorf("after %v: turned away for %v, want %v", at, got, want)
		}
	}
	if wait := g.turnedAway("192.0.2.2", now); wait != 0 {
		t.Errorf("another address: turned away for %v", wait)
	}
}

// What one customer gets of addresses is one client.
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
		if (network(a) == network(b)) != same {
			t.Errorf("%s: %v, %v", pair, network(a), network(b))
		}
	}
}
