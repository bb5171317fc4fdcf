package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

const ms = time.Millisecond

// A backend answers on a virtual clock, and its state is the gateway's own.
type backend struct {
	*upstream.Upstream
	// answers returns what becomes of the backend's nth request, from 0: how long it takes, and how it ends.
	answers func(n int, stream bool) (time.Duration, abi.Result)

	asked    int
	streamed int // of these
}

// steady answers as each request is told: streams begin after the one time, plain answers take the other.
func steady(stream, plain time.Duration) func(int, bool) (time.Duration, abi.Result) {
	return func(_ int, streamed bool) (time.Duration, abi.Result) {
		if streamed {
			return stream, abi.OK
		}
		return plain, abi.OK
	}
}

// fails ends every request alike, at once.
func fails(r abi.Result) func(int, bool) (time.Duration, abi.Result) {
	return func(int, bool) (time.Duration, abi.Result) { return ms, r }
}

// A simulation is a model with some backends, on a virtual clock.
type simulation struct {
	backends []*backend
	random   *rand.Rand
	now      time.Time
	seq      uint64
	streams  func(seq uint64) bool // nil is never
}

func simulate(seed uint64, answers ...func(int, bool) (time.Duration, abi.Result)) *simulation {
	s := &simulation{random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1_000_000, 0)}
	lease := upstream.NewSet(func(upstream.Change) {}).Lease()
	for i, f := range answers {
		p, err := lease.Provider(fmt.Sprint(i), upstream.Identity{})
		if err != nil {
			panic(err)
		}
		s.backends = append(s.backends, &backend{Upstream: lease.Upstream(p, "m"), answers: f})
	}
	return s
}

// query is what the gateway would ask now.
func (s *simulation) query(stream bool) *sdk.Query {
	q := abi.Query{Seq: s.seq, Random: s.random.Uint64(), Now: s.now.UnixNano()}
	if stream {
		q.Flags |= abi.QueryStream
	}
	for _, b := range s.backends {
		v := b.View(s.now)
		q.Candidates = append(q.Candidates, abi.Candidate{
			InFlight: uint32(v.InFlight), Samples: v.Averages.Samples, LatencyMS: v.Averages.LatencyMS, TTFTMS: v.Averages.TTFTMS,
			Success: v.Averages.Success(), Failures: uint32(v.Failures), Streamed: v.Averages.Streamed, Plain: v.Averages.Plain,
		})
	}
	return sdk.NewQuery(&q)
}

// An attempt is one under way.
type attempt struct {
	to     *backend
	ends   time.Time
	report upstream.Report
}

// begin asks the strategy and begins the attempt that it picks.
func (s *simulation) begin() attempt {
	stream := s.streams != nil && s.streams(s.seq)
	b := s.backends[pick(s.query(stream))]
	s.seq++
	took, result := b.answers(b.asked, stream)
	b.asked++
	if stream {
		b.streamed++
	}
	b.Begin(0)
	r := upstream.Report{Began: s.now, Result: result, Answered: result == abi.OK || result == abi.ClientError, Streamed: stream, Took: took}
	if result == abi.OK {
		r.Latency, r.OutputTokens = took, 100
		if stream {
			r.TTFT = took
		}
	}
	return attempt{b, s.now.Add(took), r}
}

// run has n requests answered, as many at a time as there are clients. No cooldown begins: what keeps requests away is the
// strategy alone.
func (s *simulation) run(n, clients int) {
	var running []attempt
	for n > 0 || len(running) > 0 {
		for ; n > 0 && len(running) < clients; n-- {
			running = append(running, s.begin())
		}
		next := 0
		for i := range running {
			if running[i].ends.Before(running[next].ends) {
				next = i
			}
		}
		a := running[next]
		running = append(running[:next], running[next+1:]...)
		if s.now.Before(a.ends) {
			s.now = a.ends
		}
		a.to.End(s.now, a.report, upstream.Policy{FailureThreshold: 1 << 30})
	}
}

// forget begins counting anew.
func (s *simulation) forget() {
	for _, b := range s.backends {
		b.asked, b.streamed = 0, 0
	}
}

// seeds has f run with different random numbers: a share that holds in each run holds by more than luck.
func seeds(f func(seed uint64)) {
	for seed := range uint64(100) {
		f(seed)
	}
}

// share returns which part of the requests the backend of the index has got.
func (s *simulation) share(i int) float64 {
	all := 0
	for _, b := range s.backends {
		all += b.asked
	}
	return float64(s.backends[i].asked) / float64(all)
}

// One answer of five seconds exiles nobody from whom 20 ms are usual, whenever it comes.
func TestOneLongAnswer(t *testing.T) {
	for _, clients := range []int{1, 8} {
		for _, when := range []int{0, 1, 4, 5, 10, 50} {
			least, most := 1.0, 0.0
			seeds(func(seed uint64) {
				s := simulate(seed, steady(20*ms, 20*ms), func(n int, _ bool) (time.Duration, abi.Result) {
					if n == when {
						return 5 * time.Second, abi.OK
					}
					return 20 * ms, abi.OK
				})
				for s.backends[1].asked <= when {
					s.run(clients, clients)
				}
				s.forget()
				s.backends[1].answers = steady(20*ms, 20*ms)
				s.run(500, clients)
				least, most = min(least, s.share(1)), max(most, s.share(1))
			})
			t.Logf("%d clients, long answer %d: then %.3f to %.3f of 500", clients, when, least, most)
			if least < 0.35 {
				t.Errorf("%d clients, long answer %d: then %.3f of 500, want at least 0.35", clients, when, least)
			}
		}
	}
}

// Streams go to who begins early, plain answers to who ends early.
func TestStreamsAndPlainAnswers(t *testing.T) {
	for _, clients := range []int{1, 8} {
		seeds(func(seed uint64) {
			s := simulate(seed, steady(50*ms, 900*ms), steady(300*ms, 300*ms))
			s.streams = func(seq uint64) bool { return seq%2 == 0 }
			s.run(400, clients)
			a, b := s.backends[0], s.backends[1]
			streams, plain := float64(a.streamed)/200, float64(b.asked-b.streamed)/200
			if streams < 0.8 || plain < 0.8 {
				t.Errorf("seed %d, %d clients: %.2f of the streams and %.2f of the plain answers, want 0.8", seed, clients, streams, plain)
			}
		})
	}
}

// Who never answers gets no more than what explores, whether it refuses or fails, and whether it once was good.
func TestRefusals(t *testing.T) {
	for _, result := range []abi.Result{abi.ClientError, abi.ServerError, abi.AuthRefused, abi.ClientCancelled} {
		for _, before := range []int{0, 200} {
			mean := 0.0
			seeds(func(seed uint64) {
				s := simulate(seed, steady(20*ms, 20*ms), steady(20*ms, 20*ms))
				s.run(before, 1)
				s.backends[1].answers = fails(result)
				s.run(min(before, 60), 1) // who was good is doubted by and by
				s.forget()
				s.run(1000, 1)
				mean += s.share(1) / 100
			})
			if mean > 1./exploreOneIn {
				t.Errorf("%v after %d requests: %.3f of the next, want at most %.3f", result, before, mean, 1./exploreOneIn)
			}
		}
	}
}

// The slower, the fewer; and who has become quick again is found out.
func TestSlowAndRecovered(t *testing.T) {
	for _, clients := range []int{1, 8} {
		for _, test := range []struct {
			slow        time.Duration
			most, least float64 // share while it is slow, and among the 1,000 requests after it has become quick
		}{
			{60 * ms, 0.2, 0.35}, {200 * ms, 0.1, 0.25}, {2 * time.Second, 0.1, 0.15},
		} {
			seeds(func(seed uint64) {
				s := simulate(seed, steady(20*ms, 20*ms), steady(test.slow, test.slow))
				s.run(400, clients)
				slow := s.share(1)
				s.forget()
				s.backends[1].answers = steady(20*ms, 20*ms)
				s.run(1000, clients)
				if slow > test.most || s.share(1) < test.least {
					t.Errorf("seed %d, %d clients, %v: %.3f while slow, want at most %.2f; %.3f after, want at least %.2f",
						seed, clients, test.slow, slow, test.most, s.share(1), test.least)
				}
			})
		}
	}
}
