package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// During an outage of the primary its fallback serves all requests, the primary receives one probe at a time, and it serves again soon after its
// recovery. (BERRY_SOAK=1 takes it down for a minute with the default settings and expects it back within 30 s.)
func TestOutage(t *testing.T) {
	t.Parallel()
	settings, out := "[settings]\ncooldown_seconds = 1\nhealth_check_interval_seconds = 2\n", 4*time.Second
	if soaking() {
		settings, out = "", time.Minute
	}
	var down, overlapping atomic.Bool
	var atOnce, probes atomic.Int64
	var firstFailure atomic.Int64 // Unix ns
	well := &fakeprovider.Provider{Name: "primary"}
	primary := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !down.Load() {
			well.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodPost {
			now := time.Now().UnixNano()
			firstFailure.CompareAndSwap(0, now)
			if now-firstFailure.Load() > int64(900*time.Millisecond) { // what began before the first cooldown is no probe
				probes.Add(1)
				overlapping.Store(atOnce.Add(1) > 1 || overlapping.Load())
				time.Sleep(50 * time.Millisecond)
				atOnce.Add(-1)
			}
		}
		panic(http.ErrAbortHandler)
	})
	g := gatewaytest.Start(t, gatewaytest.Config(settings,
		strings.Replace(gatewaytest.Provider("primary", gatewaytest.Serve(t, primary)), "health_check = false", "", 1),
		gatewaytest.Provider("fallback", gatewaytest.Serve(t, &fakeprovider.Provider{Name: "fallback"})),
		gatewaytest.Model("m", "failover", "primary")+"[[models.m.backends]]\nprovider = \"fallback\"\nmodel = \"one\"\npriority = 1\n"))
	var stop atomic.Bool
	var back atomic.Int64 // Unix ns of the first answer of the primary after the recovery
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ; !stop.Load(); time.Sleep(10 * time.Millisecond) {
				wasDown := down.Load()
				response, text := g.Chat(t, "m")
				by := response.Header.Get("X-Berry-Provider")
				if response.StatusCode != http.StatusOK || wasDown && down.Load() && by != "fallback" {
					t.Errorf("%d %s by %s", response.StatusCode, text, by)
				}
				if by == "primary" && !wasDown {
					back.CompareAndSwap(0, time.Now().UnixNano())
				}
			}
		})
	}
	gatewaytest.Wait(t, "the primary serves", func() bool { return back.Load() != 0 })
	down.Store(true)
	time.Sleep(out)
	is := g.Status(t).Models[0].Backends[0]
	back.Store(0)
	recovered := time.Now()
	down.Store(false)
	gatewaytest.Wait(t, "the primary serves again", func() bool { return back.Load() != 0 })
	stop.Store(true)
	all.Wait()
	took := time.Unix(0, back.Load()).Sub(recovered)
	t.Logf("down for %v: %d probes; status said %s, %q; back %v after the recovery", out, probes.Load(), is.State, is.Reason, took.Round(time.Millisecond))
	if overlapping.Load() {
		t.Error("two probes at once")
	}
	if is.State != "cooling" && is.State != "down" && is.State != "probing" {
		t.Errorf("status said %q", is.State+": "+is.Reason)
	}
	if soaking() && took > 30*time.Second {
		t.Errorf("back after %v", took)
	}
}

// A provider that rate limits without Retry-After receives, apart from the attempts in flight at its first 429, at most four attempts in any three
// seconds, regardless of the cooldown and the number of clients.
func TestLimitedProviderIsLeftAlone(t *testing.T) {
	t.Parallel()
	limited := &fakeprovider.Provider{Name: "limited", Plan: func(int) string { return "429" }}
	g := gatewaytest.Start(t, gatewaytest.Config("[settings]\ncooldown_seconds = 1\n", gatewaytest.Provider("limited", gatewaytest.Serve(t, limited)),
		gatewaytest.Provider("fallback", gatewaytest.Serve(t, &fakeprovider.Provider{Name: "fallback"})), gatewaytest.Model("alone", "failover", "limited"),
		gatewaytest.Model("m", "failover", "limited")+"[[models.m.backends]]\nprovider = \"fallback\"\nmodel = \"one\"\npriority = 1\n"))
	var all sync.WaitGroup
	end := time.Now().Add(5 * time.Second)
	for range 8 {
		all.Go(func() {
			for ; time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if response, text := g.Chat(t, "m"); response.StatusCode != http.StatusOK {
					t.Errorf("%d %s", response.StatusCode, text)
				}
				if response, text := g.Chat(t, "alone"); response.StatusCode != 429 && response.StatusCode != 503 {
					t.Errorf("%d %s", response.StatusCode, text)
				}
			}
		})
	}
	all.Wait()
	log := limited.Log()
	first := log[0].At
	log = slices.DeleteFunc(log, func(r fakeprovider.Request) bool { return r.At.Sub(first) < 900*time.Millisecond })
	for i, r := range log {
		if i >= 4 && r.At.Sub(log[i-4].At) < 3*time.Second {
			t.Errorf("five attempts within %v", r.At.Sub(log[i-4].At))
		}
	}
	if !slices.ContainsFunc(g.Status(t).Models[0].Backends, func(b gateway.BackendStatus) bool { return strings.HasPrefix(b.Reason, "rate limited; ") }) {
		t.Errorf("status: %+v", g.Status(t).Models[0].Backends)
	}
	t.Logf("%d attempts in 4 s after the first second", len(log))
}
