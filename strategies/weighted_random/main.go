// Weighted_random picks a candidate with a chance proportional to its weight. A weight of 0 is never picked while another
// candidate has more; if all have 0, each has the same chance.
package main

import "github.com/berrygate/berry/sdk"

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int {
	total := 0.0
	for i := range q.Count() {
		total += q.Candidate(i).Weight()
	}
	if total <= 0 {
		return int(q.Float() * float64(q.Count()))
	}
	at, last := q.Float()*total, 0
	for i := range q.Count() {
		w := q.Candidate(i).Weight()
		if w <= 0 {
			continue
		}
		if at < w {
			return i
		}
		at, last = at-w, i
	}
	return last // rounding used up the last one's share
}
