// Package sdk writes Berry strategies in Go: small WebAssembly guests that pick which backend answers.
//
// A strategy is a package main with one call in init and one function:
//
//	func init() { sdk.Register(pick) }
//	func main() {}
//
//	func pick(q *sdk.Query) int { return int(q.Seq() % uint64(q.Count())) }
//
// The standard compiler builds it:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o mine.wasm .
//
// Natively, in go test, Register only remembers the function, so that a strategy's tests call pick with a query from
// NewQuery. A guest decides by its query alone: the clock, randomness and environment that it sees come from the query
// or are empty, so the same block always gives the same pick.
package sdk

import "github.com/berrygate/berry/sdk/abi"

// None is what a strategy returns to say that none of the candidates will do: the exchange ends with
// no_backend_available or, after a failed attempt, with that attempt's error.
const None = abi.None

// A Func picks one of q's candidates and returns its index, from 0 to q.Count()-1, or None. q is valid during the call
// only. A panic, or any other number, is a fault: the strategy's fallback picks instead.
type Func func(q *Query) int

// Outcome says how one attempt ended; see Observe.
type Outcome = abi.Outcome

// An Option adds to what a strategy can do.
type Option func(*strategy)

// Configure has f called once, when the strategy is loaded, with the table [strategies.NAME.config] as JSON; {} if
// there is none. An error refuses to load the strategy and is shown to the operator. Without Configure a strategy
// refuses any configuration but the empty one, so that no setting is ignored in silence.
func Configure(f func(config []byte) error) Option { return func(s *strategy) { s.configure = f } }

// Observe makes the strategy stateful: f is told of every attempt's outcome. A stateful strategy has one instance, whose
// calls are serialized; its state is lost when it is replaced, and its decisions cannot be replayed.
func Observe(f func(o *Outcome)) Option { return func(s *strategy) { s.observe = f } }

// Register makes pick the module's strategy. Call it once, from init: a guest's main never runs. It panics if it is
// called twice or with nil.
func Register(pick Func, options ...Option) {
	if registered.pick != nil {
		panic("sdk: Register called twice; a module is one strategy")
	}
	if pick == nil {
		panic("sdk: Register(nil)")
	}
	registered.pick = pick
	for _, o := range options {
		o(&registered)
	}
}

type strategy struct {
	pick      Func
	configure func([]byte) error
	observe   func(*Outcome)
}

// registered is the module's one strategy: the exports that the host calls have nowhere else to find it.
var registered strategy

// A Level is the importance of a log line; the numbers are part of the ABI.
type Level int32

// The levels of a log line.
const (
	Debug Level = iota
	Info
	Warn
	Error
)
