package strategies_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/strategies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a gateway whose model "m" is spread over the providers by the strategy. options are TOML lines for each backend.
func house(t testing.TB, strategy string, providers []*fakeprovider.Provider, options ...string) (*gatewaytest.Gateway, []*httptest.Server) {
	t.Helper()
	var toml strings.Builder
	fmt.Fprintf(&toml, "[models.m]\nstrategy = %q\n", strategy)
	var servers []*httptest.Server
	for i, p := range providers {
		s := httptest.NewServer(p)
		t.Cleanup(s.Close)
		servers = append(servers, s)
		fmt.Fprintf(&toml, "[[models.m.backends]]\nprovider = %q\nmodel = \"x\"\n", p.Name)
		if i < len(options) {
			fmt.Fprintln(&toml, options[i])
		}
		fmt.Fprint(&toml, gatewaytest.Provider(p.Name, s.URL))
	}
	return gatewaytest.Start(t, gatewaytest.Config(toml.String())), servers
}

// providers returns n equal providers.
func providers(n int) []*fakeprovider.Provider {
	var out []*fakeprovider.Provider
	for i := range n {
		out = append(out, &fakeprovider.Provider{Name: fmt.Sprintf("p%d", i)})
	}
	return out
}

// ask sends n requests from a number of clients at once; each must be answered.
func ask(t *testing.T, g *gatewaytest.Gateway, n, clients int) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if response, text := g.Chat(t, "m"); response.StatusCode != 200 {
					t.Errorf("%d %s", response.StatusCode, text)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestWeightedRandom(t *testing.T) {
	ps := providers(2)
	g, _ := house(t, "weighted_random", ps, "weight = 3.0", "weight = 1.0")
	const n, share = 10_000, 0.75
	ask(t, g, n, 16)
	deviation := math.Sqrt(n * share * (1 - share))
	got := float64(ps[0].Served())
	t.Logf("%v of %d to the one with 3 of 4 parts: %.2f standard deviations off", got, n, (got-n*share)/deviation)
	if math.Abs(got-n*share) > 5*deviation {
		t.Error("more than 5 standard deviations off")
	}
}

func TestRoundRobin(t *testing.T) {
	ps := providers(3)
	g, _ := house(t, "round_robin", ps)
	ask(t, g, 2_000, 64)
	counts := []int64{ps[0].Served(), ps[1].Served(), ps[2].Served()}
	t.Log(counts)
	for _, a := range counts {
		for _, b := range counts {
			if a-b > 1 {
				t.Fatalf("%v differ by more than 1", counts)
			}
		}
	}
}

func TestRandom(t *testing.T) {
	ps := providers(4)
	g, _ := house(t, "random", ps)
	const n = 8_000
	ask(t, g, n, 16)
	expected, sum := float64(n)/4, 0.0
	for _, p := range ps {
		d := float64(p.Served()) - expected
		sum += d * d / expected
	}
	// The value that chi-square with 3 degrees of freedom exceeds with the probability of 5 sigma, 2.9e-7.
	const critical = 33.3
	t.Logf("chi-square %.2f", sum)
	if sum > critical {
		t.Errorf("chi-square %.2f is above %.2f", sum, critical)
	}
}

func TestFailover(t *testing.T) {
	ps := providers(3)
	g, servers := house(t, "failover", ps, "priority = 3", "priority = 1", "priority = 2")
	ask(t, g, 100, 8)
	if ps[1].Served() != 100 {
		t.Errorf("%d of 100 to the lowest priority number", ps[1].Served())
	}
	servers[1].CloseClientConnections()
	servers[1].Close()
	ask(t, g, 100, 8)
	if ps[2].Served() != 100 || ps[0].Served() != 0 {
		t.Errorf("%d of 100 to the next, %d to the last", ps[2].Served(), ps[0].Served())
	}
}

func TestLeastLatency(t *testing.T) {
	for _, clients := range []int{1, 16} {
		t.Run(fmt.Sprint(clients, " clients"), func(t *testing.T) {
			ps := providers(2)
			ps[0].Latency, ps[1].Latency = 40*time.Millisecond, 8*time.Millisecond
			g, _ := house(t, "least_latency", ps)
			const n = 600
			ask(t, g, n, clients)
			slow, fast := ps[0].Served(), ps[1].Served()
			t.Logf("%d to the slow one, %d to the one that is 5 times faster", slow, fast)
			if fast < n*8/10 {
				t.Error("less than 80 % to the faster one")
			}
			if slow < 2 {
				t.Error("the slower one is not explored")
			}
		})
	}
}

func TestEveryStrategyIsBuilt(t *testing.T) {
	for _, name := range strategies.Names() {
		if _, err := strategies.Module(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := strategies.Module("none"); err == nil {
		t.Error("a module of no strategy")
	}
}
