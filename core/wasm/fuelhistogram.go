package wasm

import (
	"math/bits"
	"sync/atomic"
)

// Limits are what a guest may use, and how near it comes to that.
type Limits struct {
	Fuel   int64 // of a call
	Spent  Spent // of that, by picks
	Memory int   // of an instance, in bytes
}

// Limits returns the strategy's limits.
func (s *Strategy) Limits() Limits { return Limits{s.source.Fuel, s.spent.read(), s.source.Memory} }

// A Spent is how much fuel picks have burned. The percentiles are right to an eighth.
type Spent struct {
	Picks         uint64
	P50, P90, P99 int64
	Most          int64
}

// fuelHistogram counts what picks burn: four buckets for each power of two, which is enough for percentiles and costs an addition.
// The zero value is empty; it is safe for concurrent use.
type fuelHistogram struct {
	buckets [4 * 24]atomic.Uint64 // up to 2²⁴; a call can burn less
	most    atomic.Int64
}

// add counts a pick.
func (s *fuelHistogram) add(fuel int64) {
	s.buckets[min(bucket(fuel), len(s.buckets)-1)].Add(1)
	for most := s.most.Load(); fuel > most && !s.most.CompareAndSwap(most, fuel); most = s.most.Load() {
	}
}

// bucket returns the index of the bucket of n: the power of two below it, and the two bits after the first.
func bucket(n int64) int {
	if n < 4 {
		return int(max(n, 0))
	}
	power := bits.Len64(uint64(n)) - 1
	return 4*(power-1) + int(n>>(power-2)&3)
}

// middle returns the number in the middle of what falls into the bucket.
func middle(bucket int) int64 {
	if bucket < 4 {
		return int64(bucket)
	}
	power := bucket/4 + 1
	width := int64(1) << (power - 2)
	return (4+int64(bucket%4))*width + width/2
}

// read returns what has been counted so far.
func (s *fuelHistogram) read() Spent {
	var counts [len(s.buckets)]uint64
	out := Spent{Most: s.most.Load()}
	for i := range s.buckets {
		counts[i] = s.buckets[i].Load()
		out.Picks += counts[i]
	}
	percentile := func(share float64) int64 {
		rest := uint64(float64(out.Picks) * share)
		for i, n := range counts {
			if n > rest {
				return min(middle(i), out.Most)
			}
			rest -= n
		}
		return out.Most
	}
	out.P50, out.P90, out.P99 = percentile(.5), percentile(.9), percentile(.99)
	return out
}
