package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

func TestEveryCandidateHasItsShareOfTheNumbers(t *testing.T) {
	const third = 1 << 64 / 3
	for random, want := range map[uint64]int{0: 0, third - 1: 0, third + 1: 1, 2*third + 2: 2, 1<<64 - 1: 2} {
		q := abi.Query{Random: random, Candidates: make([]abi.Candidate, 3)}
		if got := pick(sdk.NewQuery(&q)); got != want {
			t.Errorf("random %d: %d, want %d", random, got, want)
		}
	}
}
