package wasm

import "testing"

// Percentiles are right to an eighth, whatever the size of the numbers.
func TestSpending(t *testing.T) {
	for _, scale := range []int64{1, 7, 1000, 49_999} {
		var s fuelHistogram
		for i := range int64(100) {
			s.add((i + 1) * scale)
		}
		got := s.read()
		if got.Picks != 100 || got.Most != 100*scale {
			t.Errorf("%+v", got)
		}
		for want, have := range map[int64]int64{50 * scale: got.P50, 90 * scale: got.P90, 99 * scale: got.P99} {
			if d := have - want; d < -want/8-scale || d > want/8+scale {
				t.Errorf("scale %d: %d, want about %d", scale, have, want)
			}
		}
	}
	var none fuelHistogram
	if got := none.read(); got != (Spent{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// A number lies in the bucket whose middle is near it.
func TestBuckets(t *testing.T) {
	last := 0
	for n := int64(0); n < 1<<20; n += 1 + n/100 {
		b := bucket(n)
		if b < last || middle(b)-n > n/8+1 || n-middle(b) > n/8+1 {
			t.Fatalf("%d is in bucket %d around %d, after %d", n, b, middle(b), last)
		}
		last = b
	}
}
