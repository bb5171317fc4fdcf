// Package decisionlog keeps the strategies' latest decisions with the blocks that they were made by: what a decision was made of can
// be looked at, and the same block gives the same decision again.
package decisionlog

import (
	"sync"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// A Log keeps a fixed number of decisions; each further one takes the place of the oldest. Its places are used again, so that
// it allocates nothing once it is full. It is safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	places []Entry
	next   int // the place that is used next
}

var _ core.DecisionLog = (*Log)(nil)

// An Entry is one decision as it is kept. In JSON a block is base64, as Go's encoding/json writes bytes.
type Entry struct {
	Time       time.Time `json:"time"`
	RequestID  string    `json:"request_id"`
	TraceID    string    `json:"trace_id,omitempty"`
	Model      string    `json:"model"`
	User       string    `json:"user,omitempty"`
	Attempt    uint32    `json:"attempt"`
	Seq        uint64    `json:"seq"`
	Strategy   string    `json:"strategy"` // that picked; "" if priority alone decided
	SHA256     string    `json:"sha256,omitempty"`
	ABI        int       `json:"abi"`
	Fuel       int64     `json:"fuel"`
	Candidates int       `json:"candidates"`
	Chosen     int       `json:"chosen"` // an index, or -1 for none of them
	Provider   string    `json:"provider,omitempty"`
	Upstream   string    `json:"provider_model,omitempty"`
	Fault      string    `json:"fault,omitempty"` // of the strategy that should have picked
	Shadow     *Shadow   `json:"shadow,omitempty"`
	Block      []byte    `json:"block"`
}

// A Shadow is what the model's shadow strategy made of the same block.
type Shadow struct {
	Strategy string `json:"strategy"`
	Chosen   int    `json:"chosen"`
	Result   string `json:"result"` // agrees, differs, faulted or busy
}

// NewRing returns a ring of n places. With none it keeps nothing.
func NewRing(n int) *Log { return &Log{places: make([]Entry, n)} }

// Resize gives the ring n places. If that is another number than before, what it kept is gone.
func (r *Log) Resize(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n != len(r.places) {
		r.places, r.next = make([]Entry, n), 0
	}
}

// Record keeps a copy of the decision.
func (r *Log) Record(d *core.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places) == 0 {
		return
	}
	e := &r.places[r.next]
	r.next = (r.next + 1) % len(r.places)
	block := e.Block
	if size := abi.Size(d.Query); cap(block) < size {
		block = make([]byte, size)
	}
	block = block[:cap(block)]
	block = block[:abi.Encode(block, d.Query)]
	*e = Entry{
		Time: d.At, RequestID: d.Exchange, TraceID: d.TraceID, Model: d.Query.Model, User: d.Query.User, Attempt: d.Query.Attempt,
		Seq: d.Query.Seq, Strategy: d.By, SHA256: d.SHA256, ABI: abi.Version, Fuel: d.Fuel, Candidates: len(d.Query.Candidates),
		Chosen: d.Chosen, Block: block,
	}
	if d.Chosen != abi.None {
		e.Provider, e.Upstream = d.Query.Candidates[d.Chosen].Provider, d.Query.Candidates[d.Chosen].ProviderModel
	}
	if len(d.Faults) > 0 {
		e.Fault = d.Faults[0].Reason()
	}
	if d.Shadow.By != "" {
		e.Shadow = &Shadow{d.Shadow.By, d.Shadow.Chosen, d.Shadow.Result}
	}
}

// Since returns copies of the decisions for the model, or for all models if that is "", that were made at or after a time, in
// their order.
func (r *Log) Since(model string, at time.Time) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Entry
	for i := range r.places {
		e := r.places[(r.next+i)%len(r.places)]
		if e.Time.IsZero() || e.Time.Before(at) || model != "" && e.Model != model {
			continue
		}
		e.Block = append([]byte(nil), e.Block...)
		out = append(out, e)
	}
	return out
}
