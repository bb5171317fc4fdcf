package upstream

import (
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// A Scope is whose health an attempt's failure touches.
type Scope uint8

// The scopes of a failure.
const (
	ScopeModel   Scope = iota // the upstream: one model at one provider
	ScopeAccount              // every model of the provider: its key or its credit
	ScopeHost                 // every model of the provider: it cannot be connected to
	ScopeNobody               // none: the request's own fault, or a moment's
)

// String returns the scope in a word.
func (s Scope) String() string { return [...]string{"model", "account", "host", "nobody"}[s] }

// A Source is whose request an attempt was made for: a user's id and the path of the call.
type Source struct{ User, Path string }

// A Report says how an attempt ended.
type Report struct {
	Began    time.Time
	Result   abi.Result
	Answered bool          // the upstream works: it answered, or refused the request for the request's own fault
	Streamed bool          // the client asked for a stream
	Latency  time.Duration // to the commit; 0 if there was none
	TTFT     time.Duration // to a stream's first token; 0 if there was none
	Took     time.Duration // to the end
	Probe    Probe         // the probe slots that the attempt held
	Source   Source

	// Of a failure:
	Scope      Scope
	Doubtful   bool          // the request itself may be the cause: what one source shows, it shows for all others once
	AtOnce     bool          // starts a cooldown without regard to the threshold
	RefusedKey bool          // of ScopeAccount: it is the key
	Asked      bool          // the provider is left alone for RetryAfter, be it 0
	RetryAfter time.Duration // as the provider asked
	Reason     string        // in a few words; "" is the result's own

	InputTokens, OutputTokens uint32  // as the provider reported them
	Cost                      float64 // of these
}

// Probe names the probe slots that an offer took, each of which admits one attempt at a time after a cooldown. 0 is none.
type Probe uint8

const (
	probesModel Probe = 1 << iota
	probesAccount
	probesHost
)
