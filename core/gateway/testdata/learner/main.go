// Learner is a stateful strategy that logs what it is told, and counts that.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/berrygate/berry/sdk"
)

func init() { sdk.Register(pick, sdk.Observe(learn), sdk.Configure(configure)) }
func main() {}

func pick(*sdk.Query) int { return 0 }

var learned struct {
	Count int `json:"count"`
}

func configure(config []byte) error { return json.Unmarshal(config, &learned) }

func learn(o *sdk.Outcome) {
	learned.Count++
	sdk.Log(sdk.Info, fmt.Sprintf("learned: seq %d, attempt %d, %s, status %d, %d tokens out; outcome %d",
		o.Seq, o.Attempt, o.Result, o.Status, o.OutputTokens, learned.Count))
}
