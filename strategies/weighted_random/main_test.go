package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

func TestWeightIsShare(t *testing.T) {
	const whole = 1 << 64
	for name, test := range map[string]struct {
		weights []float64
		random  uint64
		want    int
	}{
		"begin of the first":     {[]float64{3, 1}, 0, 0},
		"end of the first":       {[]float64{3, 1}, whole/4*3 - 1<<11, 0},
		"begin of the second":    {[]float64{3, 1}, whole / 4 * 3, 1},
		"end":                    {[]float64{3, 1}, whole - 1, 1},
		"no weight, no pick":     {[]float64{0, 1, 0}, 0, 1},
		"nor at the end":         {[]float64{0, 1, 0}, whole - 1, 1},
		"all zero are equal":     {[]float64{0, 0}, whole / 2, 1},
		"tiny weights add up":    {[]float64{1e-300, 1e-300}, whole - 1, 1},
		"rounding cannot escape": {[]float64{0.1, 0.2, 0.3}, whole - 1, 2},
	} {
		q := abi.Query{Random: test.random}
		for _, w := range test.weights {
			q.Candidates = append(q.Candidates, abi.Candidate{Weight: w})
		}
		if got := pick(sdk.NewQuery(&q)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
