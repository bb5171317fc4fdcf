// Failover picks the candidate with the lowest priority number; among equals, the one that the config names first.
package main

import "github.com/berrygate/berry/sdk"

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int {
	best := 0
	for i := range q.Count() {
		if q.Candidate(i).Priority() < q.Candidate(best).Priority() {
			best = i
		}
	}
	return best
}
