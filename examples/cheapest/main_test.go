package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

// The strategy runs natively here, on queries as the gateway would make them.
func TestPick(t *testing.T) {
	candidate := func(cost, success float64) abi.Candidate {
		return abi.Candidate{CostInput: cost, CostOutput: 3 * cost, Success: success}
	}
	for name, test := range map[string]struct {
		candidates []abi.Candidate
		want       int
	}{
		"the cheapest":                 {[]abi.Candidate{candidate(5, 1), candidate(1, 1), candidate(2, 1)}, 1},
		"but not if it fails":          {[]abi.Candidate{candidate(5, 1), candidate(1, 0.5), candidate(2, 1)}, 2},
		"unless all do":                {[]abi.Candidate{candidate(5, 0.1), candidate(1, 0.1)}, 1},
		"the first of equals":          {[]abi.Candidate{candidate(1, 1), candidate(1, 1)}, 0},
		"the only one, whatever it is": {[]abi.Candidate{candidate(9, 0)}, 0},
	} {
		if got := pick(sdk.NewQuery(&abi.Query{Candidates: test.candidates})); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestConfigure(t *testing.T) {
	defer func(old float64) { leastSuccess = old }(leastSuccess)
	if err := configure([]byte(`{"least_success": 0.5}`)); err != nil || leastSuccess != 0.5 {
		t.Errorf("%v, %v", leastSuccess, err)
	}
	if err := configure([]byte(`{"least_success": "high"}`)); err == nil {
		t.Error("a word was accepted for a number")
	}
}
