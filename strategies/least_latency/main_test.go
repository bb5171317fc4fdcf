package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

func TestPick(t *testing.T) {
	known := func(ms float64, inFlight uint32, success float64) abi.Candidate {
		return abi.Candidate{LatencyMS: ms, InFlight: inFlight, Success: success, Samples: 9}
	}
	unknown := abi.Candidate{Success: 1}
	tried := abi.Candidate{Success: 1, InFlight: 1}
	for name, test := range map[string]struct {
		random     uint64
		candidates []abi.Candidate
		want       int
	}{
		"the fastest":                       {1, []abi.Candidate{known(50, 0, 1), known(10, 0, 1)}, 1},
		"a queue makes it slow":             {1, []abi.Candidate{known(50, 0, 1), known(10, 9, 1)}, 0},
		"failing fast is not fast":          {1, []abi.Candidate{known(50, 0, 1), known(10, 0, 0.1)}, 0},
		"the unknown is tried":              {1, []abi.Candidate{known(1, 0, 1), unknown}, 1},
		"but not by everybody":              {1, []abi.Candidate{known(500, 0, 1), tried}, 0},
		"nor when it has only failed":       {1, []abi.Candidate{known(500, 0, 1), {Success: 0.8}}, 0},
		"of unknowns in flight, the idlest": {1, []abi.Candidate{{Success: 1, InFlight: 2}, tried}, 1},
		"one pick in 32 explores":           {32 * 1, []abi.Candidate{known(1, 0, 1), known(500, 0, 1)}, 1},
	} {
		q := abi.Query{Random: test.random, Candidates: test.candidates}
		if got := pick(sdk.NewQuery(&q)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
