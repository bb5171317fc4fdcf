// Least_latency shares requests among the candidates by how soon each is expected to answer: a stream with its first token, a
// plain answer with its end. A share falls with the cube of that time: two equal candidates get half each, one that is three
// times slower than the other 4 %. A strict minimum would send everything to one and learn nothing about the others.
//
// The expectation follows from the measured times, the attempts under way and the success rate. Knowledge from few answers, or
// from long ago, counts for less: the rest of its weight makes an idle candidate as good as the best. A candidate that has not
// answered yet is tried at once if it is idle; when that attempt brings no answer, only exploration tries it again. One pick in
// 16 explores.
package main

import "github.com/berrygate/berry/sdk"

const (
	exploreOneIn  = 16     // how many picks there are for each that explores
	slots         = 8      // attempts under way that double the expected time
	enoughSamples = 5      // samples from which on a timing counts in full
	halfLife      = 300e9  // nanoseconds after which a timing counts for half
	failureFloor  = 1. / 8 // added to success rates, so that failures alone make no candidate infinitely slow
)

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int {
	r := request{q, sdk.Candidate.Plain, float64(q.MaxTokens())}
	if q.Stream() {
		r.timing, r.tokens = sdk.Candidate.Streamed, 0
	}
	if q.Attempt() > 0 { // a retry does not experiment
		_, best := r.survey()
		return r.exploit(best)
	}
	if q.Random()%exploreOneIn == 0 {
		return r.explore()
	}
	unknown, best := r.survey()
	if unknown >= 0 {
		return unknown
	}
	return r.exploit(best)
}

// A request is a query with what its kind, streamed or plain, decides.
type request struct {
	*sdk.Query
	timing func(sdk.Candidate) sdk.Timing // of the request's kind
	tokens float64                        // limit of a plain answer; 0 is unknown
}

// explore picks by the attempts under way alone. A candidate that needs one success to end its cooldown goes first.
func (r *request) explore() int {
	d := draw{random: r.Float()}
	for i := range r.Count() {
		c := r.Candidate(i)
		if c.Probing() {
			return i
		}
		d.offer(i, cube(1/slowdown(c.InFlight())))
	}
	return d.chosen
}

// survey returns an idle candidate about which nothing is known, or -1, and the lowest expected time of all; 0 is unknown.
func (r *request) survey() (unknown int, best float64) {
	n, seq := uint64(r.Count()), r.Seq()
	unknown = -1
	for k := range n {
		i := int((seq + k) % n) // concurrent requests end at different candidates
		c := r.Candidate(i)
		t := r.timing(c)
		if t.Samples > 0 {
			best = lower(best, r.expected(t))
		} else if int(t.Misses)+c.InFlight() == 0 && !c.Probing() {
			unknown = i
		}
	}
	return unknown, best
}

// lower returns the lower of two times; 0 is unknown.
func lower(a, b float64) float64 {
	if a == 0 || b < a {
		return b
	}
	return a
}

// expected returns how many milliseconds an idle candidate with the timing is expected to take; 0 is unknown. The limit of an
// answer's tokens limits its time.
func (r *request) expected(t sdk.Timing) float64 {
	if limit := t.TokenMS * r.tokens; limit > 0 && limit < t.MS {
		return limit
	}
	return t.MS
}

// exploit picks by the candidates' shares. best is the lowest expected time.
func (r *request) exploit(best float64) int {
	d := draw{random: r.Float()}
	for i := range r.Count() {
		if s := r.share(r.Candidate(i), best); s > 0 {
			d.offer(i, s)
		}
	}
	return d.chosen
}

// share returns c's share, as a multiple of the share of an idle candidate whose expected time is best.
func (r *request) share(c sdk.Candidate, best float64) float64 {
	t := r.timing(c)
	waiting := c.InFlight() + int(t.Misses) // an attempt that waited in vain counts until the next success
	reliable := cube((c.Success() + failureFloor) / (1 + failureFloor) / slowdown(waiting))
	ms := r.expected(t)
	switch {
	case best == 0:
		return reliable // nothing is known of any candidate
	case ms == 0:
		return 0
	case waiting > 0:
		return reliable * cube(best/ms)
	}
	sure := confidence(t, r.Now())
	return reliable * (sure*cube(best/ms) + 1 - sure)
}

// confidence returns from 0 to 1 how far the timing can be trusted at the time.
func confidence(t sdk.Timing, now int64) float64 {
	age, samples := max(now-t.LastSuccess, 0), min(t.Samples, enoughSamples)
	return float64(samples) / enoughSamples * halfLife / (halfLife + float64(age))
}

// slowdown returns how many times longer a request is expected to take behind so many others.
func slowdown(waiting int) float64 { return 1 + float64(waiting)/slots }

func cube(x float64) float64 { return x * x * x }

// A draw chooses one of the candidates that it is offered, each with the probability of its share among all shares.
type draw struct {
	chosen int
	total  float64
	random float64 // uniform from 0 to 1
}

// offer replaces the choice with i at the probability that i's share has among the shares so far. What a comparison leaves of
// the random number is uniform again and serves the next one.
func (d *draw) offer(i int, share float64) {
	d.total += share
	part := share / d.total
	if d.random < part {
		d.chosen, d.random = i, d.random/part
	} else {
		d.random = (d.random - part) / (1 - part)
	}
}
