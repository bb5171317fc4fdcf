// Package decisionlog stores the latest decisions of strategies with their input blocks, so that operators can inspect a decision and reproduce
// it from its block.
package decisionlog

import (
	"sync"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// A Log is a ring buffer of decisions: when it is full, each new one overwrites the oldest. It reuses the memory of entries, so that recording
// allocates nothing once it is full. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	next    int // index of the next entry to overwrite
}

var _ core.DecisionLog = (*Log)(nil)

// An Entry is one recorded decision. In JSON a block is base64, as Go's encoding/json writes bytes.
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

// A Shadow is the decision of the model's shadow strategy on the same block.
type Shadow struct {
	Strategy string `json:"strategy"`
	Chosen   int    `json:"chosen"`
	Result   string `json:"result"` // agrees, differs, faulted or busy
}

// New returns a log of n decisions; n may be 0.
func New(n int) *Log { return &Log{entries: make([]Entry, n)} }

// Resize sets the number of decisions. If it changes, Resize discards the recorded ones.
func (l *Log) Resize(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n != len(l.entries) {
		l.entries, l.next = make([]Entry, n), 0
	}
}

// Record stores a copy of the decision.
func (l *Log) Record(d *core.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return
	}
	e := &l.entries[l.next]
	l.next = (l.next + 1) % len(l.entries)
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

// Since returns copies of the decisions at or after a time, oldest first: those for the model, or for all models if it is "".
func (l *Log) Since(model string, at time.Time) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for i := range l.entries {
		e := l.entries[(l.next+i)%len(l.entries)]
		if e.Time.IsZero() || e.Time.Before(at) || model != "" && e.Model != model {
			continue
		}
		e.Block = append([]byte(nil), e.Block...)
		out = append(out, e)
	}
	return out
}
