// Least_latency picks the candidate that is likely to answer first: the lowest average latency, multiplied by the queue
// already waiting there and divided by its success rate, since a backend that fails fast must not look fast.
//
// An unknown candidate is tried at once, one attempt at a time; and one pick in 32 is uniformly random, so that a backend
// that was slow once is measured again.
package main

import "github.com/berrygate/berry/sdk"

// exploreOneIn is how many picks there are to each exploring one.
const exploreOneIn = 32

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int {
	if r := q.Random(); r%exploreOneIn == 0 {
		return int(r / exploreOneIn % uint64(q.Count()))
	}
	best, bestScore := 0, 0.0
	for i := range q.Count() {
		c := q.Candidate(i)
		if c.Latency() == 0 && c.InFlight() == 0 && c.Success() == 1 {
			return i
		}
		if s := score(c); i == 0 || s < bestScore {
			best, bestScore = i, s
		}
	}
	return best
}

// score estimates how long c takes to answer one more request. While its latency is unknown, c counts as slow: its first
// attempt is under way, and what that finds decides.
func score(c sdk.Candidate) float64 {
	const unknownMS, leastSuccess = 60_000, 0.02
	latency := c.Latency()
	if latency == 0 {
		latency = unknownMS
	}
	return latency * float64(c.InFlight()+1) / max(c.Success(), leastSuccess)
}
