// Dearest is the opposite of examples/cheapest, to tell the two apart.
package main

import "github.com/berrygate/berry/sdk"

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int {
	best := 0
	for i := range q.Count() {
		if q.Candidate(i).CostOutput() > q.Candidate(best).CostOutput() {
			best = i
		}
	}
	return best
}
