package abi

import (
	"hash/fnv"
	"testing"
	"unsafe"
)

func TestHashIsFNV1a(t *testing.T) {
	for _, s := range []string{"", "a", "openai-main\x00gpt-4", "žluť"} {
		want := fnv.New64a()
		want.Write([]byte(s))
		if got := Hash(s); got != want.Sum64() {
			t.Errorf("Hash(%q) = %x, hash/fnv says %x", s, got, want.Sum64())
		}
	}
	if got, want := CandidateID("openai-main", "gpt-4"), Hash("openai-main\x00gpt-4"); got != want {
		t.Errorf("CandidateID = %x, want %x", got, want)
	}
}

// Encode overwrites the whole block: what an earlier query left in the guest's memory must not shine through.
func TestEncodeLeavesNothingOfTheOldBlock(t *testing.T) {
	q := &Query{Model: "m", Candidates: make([]Candidate, 2)}
	clean, dirty := make([]byte, Size(q)), make([]byte, Size(q))
	for i := range dirty {
		dirty[i] = 0xff
	}
	Encode(clean, q)
	Encode(dirty, q)
	if string(clean) != string(dirty) {
		t.Error("the block differs by what the buffer held before")
	}
}

// Guests read a timing as it lies in the block, so its struct and the block have one layout.
func TestTimingHasTheLayoutOfTheBlock(t *testing.T) {
	var timing Timing
	for name, f := range map[string]struct{ got, want uintptr }{
		"MS": {unsafe.Offsetof(timing.MS), TimeAt}, "TokenMS": {unsafe.Offsetof(timing.TokenMS), TokenTimeAt},
		"LastSuccess": {unsafe.Offsetof(timing.LastSuccess), LastSuccessAt}, "Samples": {unsafe.Offsetof(timing.Samples), TimedAt},
		"Misses": {unsafe.Offsetof(timing.Misses), MissesAt}, "all": {unsafe.Sizeof(timing), TimingSize},
		"both end the candidate": {PlainAt + TimingSize, CandidateSize},
	} {
		if f.got != f.want {
			t.Errorf("%s: %d, want %d", name, f.got, f.want)
		}
	}
}

func TestOutcomeRoundTrip(t *testing.T) {
	in := Outcome{Candidate: 1, Seq: 2, Model: 3, Attempt: 4, Result: StreamBroken, Status: 200, LatencyMS: 6.5, TTFTMS: 7.5, InputTokens: 8, OutputTokens: 9}
	b := make([]byte, OutcomeSize)
	EncodeOutcome(b, &in)
	out, err := DecodeOutcome(b)
	if err != nil || out != in {
		t.Errorf("DecodeOutcome = %+v, %v; want %+v", out, err, in)
	}
	if _, err := DecodeOutcome(b[:OutcomeSize-1]); err == nil {
		t.Error("a short record was accepted")
	}
}

func BenchmarkEncode8(b *testing.B) {
	q := &Query{Model: "smart", User: "alice", UserTags: "team-a", Candidates: make([]Candidate, 8)}
	for i := range q.Candidates {
		q.Candidates[i] = Candidate{Provider: "openai-main", ProviderModel: "gpt-4o-mini", Tags: "eu,cheap"}
	}
	block := make([]byte, Size(q))
	for b.Loop() {
		Encode(block, q)
	}
}
