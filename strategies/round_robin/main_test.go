package main

import (
	"testing"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

func TestTakesTurns(t *testing.T) {
	for seq := range uint64(7) {
		q := abi.Query{Seq: seq, Candidates: make([]abi.Candidate, 3)}
		if got := pick(sdk.NewQuery(&q)); got != int(seq%3) {
			t.Errorf("seq %d: %d", seq, got)
		}
	}
}
