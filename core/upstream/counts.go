package upstream

import (
	"sync"

	"github.com/berrygate/berry/sdk/abi"
)

// Counts are ended attempts by result, and the tokens and cost of their responses.
type Counts struct {
	Answered, Refused, Failed, Cancelled uint64  // whole answers, requests' own faults, failures, clients that left
	InputTokens, OutputTokens            uint64  // as the provider reported them, of broken answers, too
	Cost                                 float64 // of these, in the unit of the config
}

func (c *Counts) add(r Report) {
	switch {
	case r.Result == abi.OK:
		c.Answered++
	case r.Result == abi.ClientCancelled:
		c.Cancelled++
	case r.Answered:
		c.Refused++
	default:
		c.Failed++
	}
	c.InputTokens += uint64(r.InputTokens)
	c.OutputTokens += uint64(r.OutputTokens)
	c.Cost += r.Cost
}

// A Counter counts the attempts of one model at an upstream, which other models may share. It is safe for concurrent use; a nil Counter
// counts nothing.
type Counter struct {
	mu     sync.Mutex
	counts Counts
}

// Add adds an attempt that has ended.
func (c *Counter) Add(r Report) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.add(r)
}

// Counts returns the counts so far.
func (c *Counter) Counts() Counts {
	if c == nil {
		return Counts{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}
