package wasm

import (
	"testing"

	"github.com/berrygate/berry/internal/guesttest"
	"github.com/berrygate/berry/sdk/abi"
)

// older is a guest that was written when a candidate had 128 bytes. It picks the lowest latency (f64 at 32) among those
// whose tags (offset and length at 104) begin with a plus, and steps by the sizes that the header names.
const older = `(module
  (memory (export "memory") 17)
  (func (export "berry_abi") (result i32) (i32.const 1))
  (func (export "berry_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "berry_select") (param $len i32) (result i32)
    (local $block i32) (local $i i32) (local $c i32) (local $best i32) (local $ms f64)
    (local.set $block (i32.const 1024))
    (local.set $best (i32.const -1))
    (local.set $ms (f64.const inf))
    (local.set $c (i32.add (local.get $block) (i32.load (local.get $block))))
    (loop $next
      (if (i32.and
            (i32.eq (i32.load8_u (i32.add (local.get $block) (i32.load offset=104 (local.get $c)))) (i32.const 43))
            (f64.lt (f64.load offset=32 (local.get $c)) (local.get $ms)))
        (then
          (local.set $ms (f64.load offset=32 (local.get $c)))
          (local.set $best (local.get $i))))
      (local.set $c (i32.add (local.get $c) (i32.load offset=4 (local.get $block))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.load offset=8 (local.get $block)))))
    (local.get $best)))`

// A guest of the first layout finds in today's blocks what it found in those of its time.
func TestOlderGuestsReadNewerBlocks(t *testing.T) {
	if abi.HeaderSize%abi.Align != 0 || abi.CandidateSize%abi.Align != 0 || abi.HeaderSize < 96 || abi.CandidateSize < abi.FirstCandidateSize {
		t.Fatalf("sizes %d and %d", abi.HeaderSize, abi.CandidateSize)
	}
	s := load(t, engine(t), guesttest.Text(t, older))
	for want := range 5 {
		q := &abi.Query{Model: "m", User: "alice"}
		for i := range 5 {
			c := abi.Candidate{
				ID: ^uint64(0), Provider: "p", ProviderModel: "x", Tags: "+a,b", LatencyMS: float64(100 + i),
				Streamed: abi.Timing{MS: 1e-9, TokenMS: 1, LastSuccess: -1, Samples: 1 << 31, Misses: 7}, Plain: abi.Timing{MS: 1e-9},
			}
			switch i {
			case want:
				c.LatencyMS = 10
			case (want + 1) % 5:
				c.LatencyMS, c.Tags = 1, "-"
			}
			q.Candidates = append(q.Candidates, c)
		}
		if got, err := index(s.Select(t.Context(), q)); got != want || err != nil {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
}
