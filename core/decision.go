package core

import "time"

// A Decision is one pick among an attempt's candidates, with its input.
type Decision struct {
	At       time.Time
	Exchange string // its id
	TraceID  string // "" if the exchange is not traced
	Query    *Query
	By       string // the strategy's name; "" if priority alone decided
	SHA256   string // of the strategy's module
	Fuel     int64  // that the pick burned
	Chosen   int    // an index of the query's candidates, or abi.None
	Faults   []Fault
	Shadow   ShadowPick
}

// A ShadowPick is the pick of a model's shadow strategy. It has no effect.
type ShadowPick struct {
	By     string // the strategy's name; "" if the model has no shadow
	Chosen int    // as in Decision
	Result string // ShadowAgrees, ShadowDiffers, ShadowFaulted or ShadowBusy
}

// The results of a shadow's pick.
const (
	ShadowAgrees  = "agrees"
	ShadowDiffers = "differs"
	ShadowFaulted = "faulted"
	ShadowBusy    = "busy" // no instance was free, or it is in quarantine
)

// A DecisionLog records decisions. Record copies d and does not block. It is safe for concurrent use.
type DecisionLog interface {
	Record(d *Decision)
}
