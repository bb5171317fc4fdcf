// Random picks any candidate, each with the same chance.
package main

import (
	"math/bits"

	"github.com/berrygate/berry/sdk"
)

func init() { sdk.Register(pick) }
func main() {}

// pick scales the random number to 0 … count-1 by taking the high half of their product, whose bias is below count/2⁶⁴
// (Lemire, "Fast Random Integer Generation in an Interval", 2019).
func pick(q *sdk.Query) int {
	index, _ := bits.Mul64(q.Random(), uint64(q.Count()))
	return int(index)
}
