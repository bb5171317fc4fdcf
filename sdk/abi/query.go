package abi

import (
	"encoding/binary"
	"math"
)

// A Query is what a strategy decides by: one attempt of one exchange, and the candidates for it.
// It is the typed form of a block.
type Query struct {
	Attempt      uint32 // 0 for the exchange's first attempt
	Seq          uint64 // drawn once per exchange; counts up per model
	Random       uint64 // fresh for every call
	Now          int64  // Unix nanoseconds
	Affinity     uint64 // FNV-1a of the session header, else of the body's user, else of the user's id
	Prefix       uint64 // FNV-1a of the body's first 1,024 bytes without the model's value
	PromptTokens uint32 // estimated: body bytes / 4
	MaxTokens    uint32 // output tokens asked for; 0 is unknown
	Flags        uint32 // QueryStream, QueryPanic
	Model        string // the name that the client asked for
	User         string // the user's id
	UserTags     string // comma-separated
	Candidates   []Candidate
}

// A Candidate is a backend that may be chosen for this attempt. Averages are exponentially weighted, α = 0.2; those of its
// timings are geometric.
type Candidate struct {
	ID            uint64  // CandidateID of provider and model
	Weight        float64 // at least 0
	Priority      int32   // lower comes first
	Flags         uint32  // CandidateUnhealthy, CandidateProbing
	InFlight      uint32  // attempts under way
	Samples       uint32  // behind the averages
	LatencyMS     float64 // from an attempt's start to its commit; 0 is unknown
	TTFTMS        float64 // to the first token of a stream; 0 is unknown
	Success       float64 // rate from 0 to 1; 1 when there are no samples
	LastFailure   int64   // Unix nanoseconds; 0 is never
	CostInput     float64 // per million tokens
	CostOutput    float64 // per million tokens
	Failures      uint32  // consecutive
	Provider      string  // the provider's id
	ProviderModel string  // the provider's name for the model
	Tags          string  // comma-separated
	Streamed      Timing  // of requests for a stream
	Plain         Timing  // of all others
}

// A Timing is what is known of a candidate's speed at requests of one kind, streamed or plain. Zeros are unknown. Its
// averages are geometric (of the logarithms), so that one slow answer among many does not govern them; the first five
// samples weigh alike.
type Timing struct {
	MS          float64 // to the first token of a stream, or to the end of a plain answer
	TokenMS     float64 // per output token: of a stream after its first token, of a plain answer from its beginning
	LastSuccess int64   // Unix nanoseconds of the latest sample
	Samples     uint32  // behind MS
	Misses      uint32  // attempts since the latest sample that gave none: failed, refused, or given up by the client
}

// Size returns how many bytes q takes as a block: a multiple of Align.
func Size(q *Query) int {
	n := HeaderSize + CandidateSize*len(q.Candidates) + len(q.Model) + len(q.User) + len(q.UserTags)
	for i := range q.Candidates {
		c := &q.Candidates[i]
		n += len(c.Provider) + len(c.ProviderModel) + len(c.Tags)
	}
	return (n + Align - 1) &^ (Align - 1)
}

// Encode writes q as a block to the front of dst and returns the block's length, Size(q). Every byte of the block is
// written, so dst need not be clean. It panics if dst is shorter than that.
func Encode(dst []byte, q *Query) int {
	size := Size(q)
	dst = dst[:size:size]
	w := writer{block: dst, end: HeaderSize + CandidateSize*len(q.Candidates)}

	put32(dst[HeaderSizeAt:], HeaderSize)
	put32(dst[CandidateSizeAt:], CandidateSize)
	put32(dst[CountAt:], uint32(len(q.Candidates)))
	put32(dst[AttemptAt:], q.Attempt)
	put64(dst[SeqAt:], q.Seq)
	put64(dst[RandomAt:], q.Random)
	put64(dst[NowAt:], uint64(q.Now))
	put64(dst[AffinityAt:], q.Affinity)
	put64(dst[PrefixAt:], q.Prefix)
	put32(dst[PromptTokensAt:], q.PromptTokens)
	put32(dst[MaxTokensAt:], q.MaxTokens)
	put32(dst[FlagsAt:], q.Flags)
	w.text(ModelAt, q.Model)
	w.text(UserAt, q.User)
	w.text(UserTagsAt, q.UserTags)
	put32(dst[headerReservedAt:], 0)

	for i := range q.Candidates {
		w.candidate(HeaderSize+i*CandidateSize, &q.Candidates[i])
	}
	clear(dst[w.end:])
	return size
}

// A writer fills a block; end is where the next string goes.
type writer struct {
	block []byte
	end   int
}

func (w *writer) candidate(at int, c *Candidate) {
	b := w.block[at : at+CandidateSize]
	put64(b[IDAt:], c.ID)
	putFloat(b[WeightAt:], c.Weight)
	put32(b[PriorityAt:], uint32(c.Priority))
	put32(b[CandFlagsAt:], c.Flags)
	put32(b[InFlightAt:], c.InFlight)
	put32(b[SamplesAt:], c.Samples)
	putFloat(b[LatencyAt:], c.LatencyMS)
	putFloat(b[TTFTAt:], c.TTFTMS)
	putFloat(b[SuccessAt:], c.Success)
	put64(b[LastFailureAt:], uint64(c.LastFailure))
	putFloat(b[CostInputAt:], c.CostInput)
	putFloat(b[CostOutputAt:], c.CostOutput)
	put32(b[FailuresAt:], c.Failures)
	put32(b[candReservedAt:], 0)
	w.text(at+ProviderAt, c.Provider)
	w.text(at+ProviderModelAt, c.ProviderModel)
	w.text(at+TagsAt, c.Tags)
	clear(b[candReserved2At:StreamedAt])
	putTiming(b[StreamedAt:], &c.Streamed)
	putTiming(b[PlainAt:], &c.Plain)
}

func putTiming(b []byte, t *Timing) {
	putFloat(b[TimeAt:], t.MS)
	putFloat(b[TokenTimeAt:], t.TokenMS)
	put64(b[LastSuccessAt:], uint64(t.LastSuccess))
	put32(b[TimedAt:], t.Samples)
	put32(b[MissesAt:], t.Misses)
}

func (w *writer) text(at int, s string) {
	var offset int
	if s != "" {
		offset = w.end
		w.end += copy(w.block[w.end:], s)
	}
	put32(w.block[at:], uint32(offset))
	put32(w.block[at+4:], uint32(len(s)))
}

func put32(b []byte, v uint32)     { binary.LittleEndian.PutUint32(b, v) }
func put64(b []byte, v uint64)     { binary.LittleEndian.PutUint64(b, v) }
func putFloat(b []byte, v float64) { put64(b, math.Float64bits(v)) }
