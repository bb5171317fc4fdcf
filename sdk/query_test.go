package sdk

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/berrygate/berry/sdk/abi"
)

var sample = abi.Query{
	Attempt: 1, Seq: 2, Random: 1 << 63, Now: 4, Affinity: 5, Prefix: 6, PromptTokens: 7, MaxTokens: 8,
	Flags: abi.QueryStream, Model: "smart", User: "alice", UserTags: "a,b",
	Candidates: []abi.Candidate{
		{ID: 1, Provider: "first", ProviderModel: "m1"},
		{
			ID: 11, Weight: 12.5, Priority: -13, Flags: abi.CandidateProbing, InFlight: 14, Samples: 15, LatencyMS: 16.5,
			TTFTMS: 17.5, Success: 0.75, LastFailure: 18, CostInput: 19.5, CostOutput: 20.5, Failures: 21,
			Provider: "second", ProviderModel: "m2", Tags: "eu,žluť",
			Streamed: abi.Timing{MS: 22.5, TokenMS: 23.5, LastSuccess: 24, Samples: 25, Misses: 26},
			Plain:    abi.Timing{MS: 27.5, TokenMS: 28.5, LastSuccess: 29, Samples: 30, Misses: 31},
		},
	},
}

// The guest reads back, field by field, what the host encoded.
func TestQueryReadsWhatTheHostWrote(t *testing.T) {
	q := NewQuery(&sample)
	c := q.Candidate(1)
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"Count", q.Count(), 2}, {"Attempt", q.Attempt(), 1}, {"Seq", q.Seq(), uint64(2)}, {"Random", q.Random(), uint64(1 << 63)},
		{"Float", q.Float(), 0.5}, {"Now", q.Now(), int64(4)}, {"Affinity", q.Affinity(), uint64(5)}, {"Prefix", q.Prefix(), uint64(6)},
		{"PromptTokens", q.PromptTokens(), 7}, {"MaxTokens", q.MaxTokens(), 8}, {"Stream", q.Stream(), true}, {"Panic", q.Panic(), false},
		{"Model", q.Model(), "smart"}, {"User", q.User(), "alice"}, {"UserTags", q.UserTags(), "a,b"},
		{"ID", c.ID(), uint64(11)}, {"Weight", c.Weight(), 12.5}, {"Priority", c.Priority(), -13}, {"Unhealthy", c.Unhealthy(), false},
		{"Probing", c.Probing(), true}, {"InFlight", c.InFlight(), 14}, {"Samples", c.Samples(), 15}, {"Latency", c.Latency(), 16.5},
		{"TTFT", c.TTFT(), 17.5}, {"Success", c.Success(), 0.75}, {"LastFailure", c.LastFailure(), int64(18)},
		{"CostInput", c.CostInput(), 19.5}, {"CostOutput", c.CostOutput(), 20.5}, {"Failures", c.Failures(), 21},
		{"Provider", c.Provider(), "second"}, {"ProviderModel", c.ProviderModel(), "m2"}, {"Tags", c.Tags(), "eu,žluť"},
		{"Streamed", c.Streamed(), sample.Candidates[1].Streamed}, {"Plain", c.Plain(), sample.Candidates[1].Plain},
		{"first's Plain", q.Candidate(0).Plain(), Timing{}},
		{"first's Tags", q.Candidate(0).Tags(), ""}, {"first's Provider", q.Candidate(0).Provider(), "first"},
	} {
		if f.got != f.want {
			t.Errorf("%s = %v, want %v", f.name, f.got, f.want)
		}
	}
}

// older returns the block as a host that knew nothing of appended fields wrote it: candidates of 128 bytes.
func older(block []byte) []byte {
	le, n := binary.LittleEndian, int(binary.LittleEndian.Uint32(block[abi.CountAt:]))
	part := func(b []byte, texts ...int) []byte { // the strings move up by what is left out before them
		b = bytes.Clone(b)
		for _, at := range texts {
			if offset := le.Uint32(b[at:]); offset > 0 {
				le.PutUint32(b[at:], offset-uint32(n*(abi.CandidateSize-abi.FirstCandidateSize)))
			}
		}
		return b
	}
	out := part(block[:abi.HeaderSize], abi.ModelAt, abi.UserAt, abi.UserTagsAt)
	le.PutUint32(out[abi.CandidateSizeAt:], abi.FirstCandidateSize)
	for i := range n {
		c := block[abi.HeaderSize+i*abi.CandidateSize:][:abi.FirstCandidateSize]
		out = append(out, part(c, abi.ProviderAt, abi.ProviderModelAt, abi.TagsAt)...)
	}
	return append(out, block[abi.HeaderSize+n*abi.CandidateSize:]...)
}

// A guest of today in a gateway of yesterday: fields that the block does not have are unknown, all others are read as ever.
func TestQueryOfAnOlderHost(t *testing.T) {
	q, err := Parse(older(NewQuery(&sample).block))
	if err != nil {
		t.Fatal(err)
	}
	c := q.Candidate(1)
	if c.Streamed() != (Timing{}) || c.Plain() != (Timing{}) {
		t.Errorf("timings %+v and %+v, want nothing", c.Streamed(), c.Plain())
	}
	if c.Provider() != "second" || c.Tags() != "eu,žluť" || c.Failures() != 21 || q.Model() != "smart" {
		t.Errorf("got %q, %q, %d, %q", c.Provider(), c.Tags(), c.Failures(), q.Model())
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	q := NewQuery(&sample)
	if n := testing.AllocsPerRun(100, func() {
		for i := range q.Count() {
			c := q.Candidate(i)
			_, _, _, _ = c.Weight(), c.Tags(), c.Provider(), c.Plain()
		}
	}); n != 0 {
		t.Errorf("%v allocations per read", n)
	}
}

// Whatever Parse accepts can be read whole without a panic; the seeds include every single-field lie that matters.
func FuzzParse(f *testing.F) {
	block := NewQuery(&sample).block
	f.Add(block)
	f.Add(older(block))
	f.Add(block[:abi.HeaderSize])
	f.Add([]byte{})
	for _, at := range []int{abi.HeaderSizeAt, abi.CandidateSizeAt, abi.CountAt, abi.ModelAt, abi.ModelAt + 4} {
		lie := append([]byte(nil), block...)
		lie[at+3] = 0xff
		f.Add(lie)
	}
	f.Fuzz(func(_ *testing.T, block []byte) {
		q, err := Parse(block)
		if err != nil {
			return
		}
		_, _, _, _, _ = q.Seq(), q.Float(), q.Model(), q.User(), q.UserTags()
		for i := range q.Count() {
			c := q.Candidate(i)
			_, _, _, _, _, _, _ = c.ID(), c.Weight(), c.Provider(), c.ProviderModel(), c.Tags(), c.Streamed(), c.Plain()
		}
	})
}

func TestRegisterOnce(t *testing.T) {
	defer func() { registered = strategy{} }()
	Register(func(*Query) int { return 0 })
	defer func() {
		if recover() == nil {
			t.Error("a second Register did not panic")
		}
	}()
	Register(func(*Query) int { return 1 })
}
