package wasm

import (
	"math/bits"
	"sync/atomic"
)

// Limits are a strategy's limits and its use of fuel.
type Limits struct {
	Fuel   int64 // of a call
	Spent  Spent // of picks
	Memory int   // of an instance, in bytes
}

// Limits returns the strategy's limits.
func (s *Strategy) Limits() Limits { return Limits{s.source.Fuel, s.spent.read(), s.source.Memory} }

// A Spent is the fuel of picks. Percentiles are precise to an eighth.
type Spent struct {
	Picks         uint64
	P50, P90, P99 int64
	Most          int64
}

// A fuelHistogram counts the fuel of picks in four buckets per power of two. The zero value is empty; it is safe for concurrent use.
type fuelHistogram struct {
	buckets [4 * 24]atomic.Uint64 // up to 2²⁴; a call can burn less
	most    atomic.Int64
}

// add adds a pick.
func (s *fuelHistogram) add(fuel int64) {
	s.buckets[min(bucket(fuel), len(s.buckets)-1)].Add(1)
	for most := s.most.Load(); fuel > most && !s.most.CompareAndSwap(most, fuel); most = s.most.Load() {
	}
}

// bucket returns the index of n's bucket: by the highest set bit and the two bits below it.
func bucket(n int64) int {
	if n < 4 {
		return int(max(n, 0))
	}
	power := bits.Len64(uint64(n)) - 1
	return 4*(power-1) + int(n>>(power-2)&3)
}

// middle returns the middle of a bucket.
func middle(bucket int) int64 {
	if bucket < 4 {
		return int64(bucket)
	}
	power := bucket/4 + 1
	width := int64(1) << (power - 2)
	return (4+int64(bucket%4))*width + width/2
}

// read returns the distribution so far.
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
