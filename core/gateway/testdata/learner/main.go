// Learner is a stateful strategy that logs what it is told.
package main

import (
	"fmt"

	"github.com/berrygate/berry/sdk"
)

func init() { sdk.Register(pick, sdk.Observe(learn)) }
func main() {}

func pick(*sdk.Query) int { return 0 }

func learn(o *sdk.Outcome) {
	sdk.Log(sdk.Info, fmt.Sprintf("learned: seq %d, attempt %d, %s, status %d, %d tokens out", o.Seq, o.Attempt, o.Result, o.Status, o.OutputTokens))
}
