package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

func TestLowestPriorityThenOrder(t *testing.T) {
	for _, test := range []struct {
		priorities []int32
		want       int
	}{
		{[]int32{1}, 0}, {[]int32{3, 1, 2}, 1}, {[]int32{2, 1, 1}, 1}, {[]int32{0, 0}, 0}, {[]int32{0, -1}, 1},
	} {
		var q abi.Query
		for _, p := range test.priorities {
			q.Candidates = append(q.Candidates, abi.Candidate{Priority: p})
		}
		if got := pick(sdk.NewQuery(&q)); got != test.want {
			t.Errorf("%v: %d, want %d", test.priorities, got, test.want)
		}
	}
}
