package relay_test

import (
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/berrygate/berry/internal/complexitytest"
	"github.com/berrygate/berry/internal/gatewaytest"
	"github.com/berrygate/berry/internal/otlptest"
)

// cpu returns the process's CPU time so far, in seconds.
func cpu(t *testing.T) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// A body costs what its size says, whatever its shape: of twice the size, it takes at most 2.3 times the memory and the CPU
// time. (BERRY_SOAK=1 goes from 1 to 8 MB instead of from 128 to 512 KB, and prints a table.)
func TestWorkGrowsWithSize(t *testing.T) {
	small, doublings := 128<<10, 2
	if os.Getenv("BERRY_SOAK") != "" {
		small, doublings = 1<<20, 3
	}
	url := gatewaytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answering(http.StatusTeapot, "application/json", `{"error":{"message":"no"}}`).ServeHTTP(w, r)
	}))
	toml := []string{"[settings]\nmax_retries = 0\nfailure_threshold = 1000000\n[telemetry]\ncapture_content = true\n"}
	for _, typ := range types() {
		toml = append(toml, typed(typ, typ, url), gatewaytest.Model("m"+typ, "failover", typ))
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otlptest.New(t).URL+"/v1/traces") // or nothing is captured
	g := gatewaytest.Start(t, gatewaytest.Config(toml...))
	for name, shape := range complexitytest.Bodies() {
		for _, typ := range types() {
			most := 1.5 * math.Pow(2.3, float64(doublings)) // buffers grow in steps, and the machine is busy; a square would be 16, or 64
			one := cost{math.Inf(1), math.Inf(1)}
			two := one
			exceeds := func() bool { return two.bytes > most*max(one.bytes, 2e6) || two.seconds > most*max(one.seconds, 0.03) }
			for range 3 { // the least of several: the process's time includes what the runtime does meanwhile
				one, two = one.least(costOf(t, g, shape, typ, small)), two.least(costOf(t, g, shape, typ, small<<doublings))
				if !exceeds() {
					break
				}
			}
			t.Logf("%-24s %-9s %3.0f ms %6.1f MB, of %d times the size %4.0f ms %6.1f MB", name, typ, one.seconds*1e3, one.bytes/1e6, 1<<doublings, two.seconds*1e3, two.bytes/1e6)
			if exceeds() {
				t.Errorf("%s, %s: got more than %.1f times the work of %.1f MB and %.0f ms", name, typ, most, one.bytes/1e6, one.seconds*1e3)
			}
		}
	}
}

// A cost is what a request takes of this process, which is client, gateway and provider.
type cost struct{ seconds, bytes float64 }

// least returns the smaller time and the smaller memory of two measurements.
func (c cost) least(other cost) cost {
	return cost{min(c.seconds, other.seconds), min(c.bytes, other.bytes)}
}

func costOf(t *testing.T, g *gatewaytest.Gateway, shape complexitytest.Body, typ string, size int) cost {
	body := shape.Build("m"+typ, size)
	var before, after runtime.MemStats
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection marks the whole heap, and would fall on the larger body only
	runtime.ReadMemStats(&before)
	began := cpu(t)
	gatewaytest.Read(t, g.Post(t, shape.Path, body))
	seconds := cpu(t) - began
	runtime.ReadMemStats(&after)
	return cost{seconds, float64(after.TotalAlloc - before.TotalAlloc)}
}
