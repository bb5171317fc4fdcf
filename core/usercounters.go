package core

import (
	"sync/atomic"

	"github.com/berrygate/berry/sdk/abi"
)

// A UserCounters counts a user's requests and tokens since the process started. The zero value is empty; it is safe for concurrent use.
type UserCounters struct{ requests, refused, failed, inputTokens, outputTokens atomic.Uint64 }

// Totals are a user's counts at one time.
type Totals struct {
	Requests     uint64 `json:"requests"`
	Refused      uint64 `json:"refused"` // because of the request's own fault
	Failed       uint64 `json:"failed"`  // of them
	InputTokens  uint64 `json:"input_tokens"`
	OutputTokens uint64 `json:"output_tokens"` // as the providers reported them
}

// Count adds an exchange that has ended.
func (t *UserCounters) Count(x *Exchange) {
	t.requests.Add(1)
	switch x.Outcome.Name() {
	case "refused":
		t.refused.Add(1)
	case "failed":
		t.failed.Add(1)
	}
	if a := x.Last(); a != nil && (a.Failure == nil || a.Failure.Result == abi.ClientCancelled) { // tokens of failed attempts do not count
		t.inputTokens.Add(uint64(a.Usage.InputTokens))
		t.outputTokens.Add(uint64(a.Usage.OutputTokens))
	}
}

// Totals returns the counts so far.
func (t *UserCounters) Totals() Totals {
	return Totals{t.requests.Load(), t.refused.Load(), t.failed.Load(), t.inputTokens.Load(), t.outputTokens.Load()}
}
