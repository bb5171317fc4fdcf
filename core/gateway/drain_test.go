package gateway_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/connectiontest"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// askAll sends requests from concurrent clients and returns the number of failed ones.
func askAll(t *testing.T, g *gatewaytest.Gateway, requests, clients int) (failed int64) {
	var left, bad atomic.Int64
	left.Store(int64(requests))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if response, text := g.Chat(t, "m"); response.StatusCode != 200 {
					t.Logf("%d %s", response.StatusCode, text)
					bad.Add(1)
				}
			}
		})
	}
	all.Wait()
	return bad.Load()
}

// unharmed fails the test unless, according to the status page, every request succeeded with its first attempt.
func unharmed(t *testing.T, g *gatewaytest.Gateway, requests int) {
	t.Helper()
	b := g.Status(t).Models[0].Backends[0]
	if b.Attempts.Failed != 0 || b.Attempts.Answered != uint64(requests) || b.Failures != 0 || b.State != "healthy" {
		t.Errorf("after %d requests: %+v", requests, b)
	}
}

// A provider that drains its connections, 20 ms away, loses no requests and its health is unaffected: requests that its GOAWAY or REFUSED_STREAM
// left unprocessed are sent again, although there is no other backend.
func TestDrainingProvider(t *testing.T) {
	for _, streams := range []int{100, 1000} {
		for _, clients := range []int{16, 32} {
			t.Run(fmt.Sprintf("after %d, %d clients", streams, clients), func(t *testing.T) {
				t.Parallel()
				requests := streams + 500
				d := connectiontest.ServeDraining(t, streams, 20*time.Millisecond, `{"id":"x","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hi!"}}]}`)
				g := gatewaytest.StartFiles(t, gatewaytest.Config("[settings]\nmax_retries = 3\n",
					gatewaytest.Provider("p", "https://"+d.Address)+"ca_file = \"ca.pem\"\n", gatewaytest.Model("m", "failover", "p")), map[string][]byte{"ca.pem": d.CA})
				if failed := askAll(t, g, requests, clients); failed != 0 {
					t.Errorf("%d of %d requests failed", failed, requests)
				}
				if d.GoAways.Load() == 0 || d.Refused.Load() == 0 {
					t.Errorf("%d GOAWAYs, %d refused: nothing was tried", d.GoAways.Load(), d.Refused.Load())
				}
				unharmed(t, g, requests)
			})
		}
	}
}

// The same holds for a server that closes keep-alive connections while ten requests are in flight.
func TestProviderThatClosesKeptConnections(t *testing.T) {
	t.Parallel()
	const rounds, clients = 5, 10
	c := connectiontest.ServeCloser(t, 1)
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\nmax_retries = 3\n", gatewaytest.Provider("p", "http://"+c.Address), gatewaytest.Model("m", "failover", "p")))
	for range rounds {
		if failed := askAll(t, g, clients, clients); failed != 0 {
			t.Errorf("%d of %d requests failed", failed, clients)
		}
	}
	if c.Requests.Load() <= rounds*clients {
		t.Errorf("%d requests reached the server, which closed no kept connection", c.Requests.Load())
	}
	unharmed(t, g, rounds*clients)
}
