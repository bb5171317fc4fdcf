package strategies_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berrygate/berry/internal/fakeprovider"
	"github.com/berrygate/berry/internal/gatewaytest"
)

// A backend is a fake provider that takes as long as it is told for each request.
type backend struct {
	fakeprovider.Provider
	delay           func(n int64, stream bool) time.Duration // of the nth, from 1
	refuses         bool                                     // every request, for its own fault
	plain, streamed atomic.Int64
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	count, stream := &b.plain, bytes.Contains(body, []byte(`"stream":true`))
	if stream {
		count = &b.streamed
	}
	count.Add(1)
	if b.refuses {
		http.Error(w, `{"error":{"message":"Not like this.","type":"invalid_request_error","param":null,"code":null}}`, http.StatusBadRequest)
		return
	}
	time.Sleep(b.delay(b.plain.Load()+b.streamed.Load(), stream))
	r.Body = io.NopCloser(bytes.NewReader(body))
	b.Provider.ServeHTTP(w, r)
}

// share returns which part of the requests b has got, of those that it and a have.
func share(b, a *atomic.Int64) float64 {
	return float64(b.Load()) / float64(a.Load()+b.Load())
}

// pair is a gateway whose model "m" is at a and b, by least_latency.
func pair(t *testing.T, a, b *backend) *gatewaytest.Gateway {
	t.Helper()
	toml := "[models.m]\nstrategy = \"least_latency\"\n"
	providers := ""
	for i, p := range []*backend{a, b} {
		p.Name = string(rune('a' + i))
		toml += fmt.Sprintf("[[models.m.backends]]\nprovider = %q\nmodel = \"x\"\n", p.Name)
		providers += gatewaytest.Provider(p.Name, gatewaytest.Serve(t, p))
	}
	return gatewaytest.Start(t, gatewaytest.Config(toml, providers))
}

// askFor sends n requests from a number of clients at once, each second one for a stream if streams is set.
func askFor(t *testing.T, g *gatewaytest.Gateway, n, clients int, streams bool) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				stream := streams && i%2 == 0
				gatewaytest.Read(t, g.Post(t, "/v1/chat/completions", fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"Hi!"}]}`, stream)))
			}
		})
	}
	all.Wait()
}

// always returns the delay, whatever is asked.
func always(d time.Duration) func(int64, bool) time.Duration {
	return func(int64, bool) time.Duration { return d }
}

// One long answer of a backend does not keep requests away from it.
func TestLeastLatencyAfterOneLongAnswer(t *testing.T) {
	const usual, long, at = 10 * time.Millisecond, 2 * time.Second, 10
	for _, clients := range []int{1, 8} {
		t.Run(fmt.Sprint(clients, " clients"), func(t *testing.T) {
			t.Parallel()
			b := &backend{delay: func(n int64, _ bool) time.Duration {
				if n == at {
					return long
				}
				return usual
			}}
			a := &backend{delay: always(usual)}
			g := pair(t, a, b)
			for b.plain.Load() < at {
				askFor(t, g, clients, clients, false)
			}
			a.plain.Store(0)
			b.plain.Store(at) // so that the long answer is not repeated
			askFor(t, g, 500, clients, false)
			b.plain.Add(-at)
			got := share(&b.plain, &a.plain)
			t.Logf("%.3f of 500", got)
			if got < 0.35 {
				t.Errorf("after one long answer b gets %.3f of the next 500, want at least 0.35", got)
			}
		})
	}
}

// Streams go to the backend that begins them early, plain answers to the one that ends them early.
func TestLeastLatencyOfStreamsAndPlainAnswers(t *testing.T) {
	a := &backend{delay: func(_ int64, stream bool) time.Duration {
		if stream {
			return 20 * time.Millisecond
		}
		return 360 * time.Millisecond
	}}
	b := &backend{delay: always(120 * time.Millisecond)}
	askFor(t, pair(t, a, b), 400, 8, true)
	streams, plain := share(&a.streamed, &b.streamed), share(&b.plain, &a.plain)
	t.Logf("%.3f of the streams, %.3f of the plain answers", streams, plain)
	if streams < 0.8 || plain < 0.8 {
		t.Errorf("%.3f of the streams to a and %.3f of the plain answers to b, want 0.8 of each", streams, plain)
	}
}

// A backend that refuses what it gets looks neither quick nor good for that.
func TestLeastLatencyOfRefusals(t *testing.T) {
	a, b := &backend{delay: always(10 * time.Millisecond)}, &backend{refuses: true}
	g := pair(t, a, b)
	askFor(t, g, 400, 1, false)
	got := share(&b.plain, &a.plain)
	t.Logf("%.3f of 400", got)
	if got > 0.1 { // one pick in 16 explores; of 400, more than 40 do with a probability of 0.001
		t.Errorf("%.3f of the requests to the backend that only refuses, want at most 0.1", got)
	}
	if s := g.Status(t).Models[0].Backends[1]; s.Samples != 0 || s.Success != 1 || s.LatencyMS != 0 {
		t.Errorf("refusals are samples: %+v", s)
	}
}
