package metrics

import (
	"strconv"
	"sync"
	"testing"
)

// What is made of a key is made once, however many ask for it at the same time.
func TestRemembered(t *testing.T) {
	const keys, askers = 1000, 4
	var r remembered[int, int]
	var made [keys]int // each written under the lock
	var asking sync.WaitGroup
	var found [askers][keys]*int
	for a := range askers {
		asking.Go(func() {
			for range 3 {
				for k := range keys {
					found[a][k] = r.of(k, func(k int) int { made[k]++; return k })
				}
			}
		})
	}
	asking.Wait()
	for k := range keys {
		if made[k] != 1 || *found[0][k] != k || found[0][k] != found[askers-1][k] {
			t.Errorf("key %d: made %d times, want once; found %d and %d", k, made[k], *found[0][k], *found[askers-1][k])
		}
	}
	for range keys + 1 {
		for k := range keys {
			r.of(k, func(int) int { panic("made twice") })
		}
	}
	if all := *r.all.Load(); len(all) != keys {
		t.Errorf("%d keys can be looked up without the lock, want %d", len(all), keys)
	}
}

// The status is a label; a provider may answer with any number, and what no standard knows is counted by its class.
func TestStatusLabels(t *testing.T) {
	labels := map[string]bool{}
	for status := range 1000 {
		labels[statusLabel(statusOf(status))] = true
	}
	for _, want := range [...]string{"200", "404", "499", "502", "529", "4xx", "9xx"} {
		if !labels[want] {
			t.Errorf("no label %s", want)
		}
	}
	if got := statusLabel(statusOf(498)); got != "4xx" || len(labels) > 80 {
		t.Errorf("498 has the label %s, want 4xx; %d labels, want at most 80", got, len(labels))
	}
}

// BenchmarkRemember is what it takes to make a key known among so many: a reload makes each user's anew.
func BenchmarkRemember(b *testing.B) {
	for _, n := range [...]int{100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var r remembered[result, int]
				for i := range n {
					r.of(result{outcome: "ok", status: i}, func(result) int { return 0 })
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}
