// Cheapest picks the candidate whose tokens cost least, among those that do not fail too often.
package main

import (
	"encoding/json"

	"github.com/berrygate/berry/sdk"
)

// leastSuccess is the success rate below which a candidate is too cheap to be good; the config may set another.
var leastSuccess = 0.9

func init() { sdk.Register(pick, sdk.Configure(configure)) }
func main() {}

func configure(config []byte) error {
	settings := struct {
		LeastSuccess *float64 `json:"least_success"`
	}{&leastSuccess}
	return json.Unmarshal(config, &settings)
}

func pick(q *sdk.Query) int {
	best := 0
	for i := range q.Count() {
		if better(q.Candidate(i), q.Candidate(best)) {
			best = i
		}
	}
	return best
}

func better(a, b sdk.Candidate) bool {
	if good := a.Success() >= leastSuccess; good != (b.Success() >= leastSuccess) {
		return good
	}
	return a.CostInput()+a.CostOutput() < b.CostInput()+b.CostOutput()
}
