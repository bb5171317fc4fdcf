package upstream

import (
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Scope is whose health a failure affects.
type Scope uint8

// The scopes of failures.
const (
	ScopeModel   Scope = iota // the upstream: one model at one provider
	ScopeAccount              // every model of the provider: its key or its credit
	ScopeHost                 // every model of the provider: it cannot be connected to
	ScopeNobody               // none: the request's own fault, or a transient one
)

// String returns the scope in a word.
func (s Scope) String() string { return [...]string{"model", "account", "host", "nobody"}[s] }

// A Source is the origin of a request: a user's id and the call's path.
type Source struct{ User, Path string }

// A Report is the outcome of an attempt.
type Report struct {
	Began    time.Time
	Result   abi.Result
	Answered bool          // the upstream works: it responded, or rejected the request for the request's own fault
	Streamed bool          // the client asked for a stream
	Latency  time.Duration // to the commit; 0 if there was none
	TTFT     time.Duration // to a stream's first token; 0 if there was none
	Took     time.Duration // to the end
	Probe    Probe         // the probe slots that the attempt held
	Source   Source

	// Of a failure:
	Scope      Scope
	Doubtful   bool          // the request itself may be the cause: for other sources it counts once
	AtOnce     bool          // starts a cooldown whatever the threshold
	RefusedKey bool          // of ScopeAccount: the provider refused the key
	Asked      bool          // RetryAfter holds even if it is 0
	RetryAfter time.Duration // as the provider says
	Reason     string        // in a few words; "": the result's name

	InputTokens, OutputTokens uint32  // as the provider reported them
	Cost                      float64 // of these
}

// Probe is a set of probe slots, each of which admits one attempt at a time after a cooldown. 0 is none.
type Probe uint8

const (
	probesModel Probe = 1 << iota
	probesAccount
	probesHost
)
