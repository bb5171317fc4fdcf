// Round_robin takes the candidates in turn. The turn is the exchange's sequence number, so the strategy needs no state
// and its instances can be pooled, replaced and replayed.
package main

import "github.com/berrygate/berry/sdk"

func init() { sdk.Register(pick) }
func main() {}

func pick(q *sdk.Query) int { return int(q.Seq() % uint64(q.Count())) }
