package decisionlog

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/sdk/abi"
)

// decision returns the n-th decision, among one to five candidates.
func decision(n int) *core.Decision {
	q := &core.Query{Seq: uint64(n), Model: "m", Candidates: make([]abi.Candidate, 1+n%5)}
	return &core.Decision{At: time.Unix(int64(n), 0), Query: q, By: "failover"}
}

// The log contains the latest decisions in order, with the exact bytes of their blocks; a log of size 0 contains none.
func TestLog(t *testing.T) {
	r := New(3)
	for n := 1; n <= 5; n++ {
		r.Record(decision(n))
	}
	got := r.Since("", time.Unix(4, 0))
	if len(got) != 2 || got[0].Seq != 4 || got[1].Seq != 5 || len(r.Since("", time.Time{})) != 3 || len(r.Since("other", time.Time{})) != 0 {
		t.Errorf("got %+v, want decisions 4 and 5 of three", got)
	}
	for _, e := range got {
		d := decision(int(e.Seq))
		want := make([]byte, abi.Size(d.Query))
		abi.Encode(want, d.Query)
		if !bytes.Equal(e.Block, want) {
			t.Errorf("decision %d: the block differs from its query's encoding", e.Seq)
		}
	}
	r.Resize(3)
	if len(r.Since("", time.Time{})) != 3 {
		t.Error("Resize to the same size discarded decisions")
	}
	r.Resize(0)
	r.Record(decision(6))
	if len(r.Since("", time.Time{})) != 0 {
		t.Error("a log of size 0 contains decisions")
	}
}

// A full log records without allocating, also after concurrent use.
func TestRecordAllocatesNothing(t *testing.T) {
	r := New(8)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 200 {
				r.Record(decision(n))
				r.Since("m", time.Time{})
			}
		})
	}
	all.Wait()
	d := decision(4)
	for range 8 {
		r.Record(d)
	}
	if n := testing.AllocsPerRun(100, func() { r.Record(d) }); n > 0 {
		t.Errorf("got %v allocations per Record, want 0", n)
	}
}
