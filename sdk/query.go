package sdk

import (
	"errors"
	"math"
	"unsafe"

	"github.com/berrygate/berry/sdk/abi"
)

// A Query is what a strategy decides by. It is a view of the block that the host wrote: reading a field allocates
// nothing, and strings point into the block, so keep neither past the call.
type Query struct {
	block                 []byte
	header, stride, count int // as the block's header says
}

// view returns the query that the block holds; the block has a whole header.
func view(block []byte) Query {
	q := Query{block: block}
	q.header, q.stride, q.count = int(q.u32(abi.HeaderSizeAt)), int(q.u32(abi.CandidateSizeAt)), int(q.u32(abi.CountAt))
	return q
}

// NewQuery returns q as a strategy sees it: for tests, and for everything that asks a strategy natively.
func NewQuery(q *abi.Query) *Query {
	block := make([]byte, abi.Size(q))
	abi.Encode(block, q)
	v := view(block)
	return &v
}

var (
	errShort   = errors.New("sdk: block shorter than its header says")
	errSizes   = errors.New("sdk: block's header or candidates smaller than ABI version 1 began with")
	errAlign   = errors.New("sdk: block's header or candidate size is no multiple of 8")
	errNoCands = errors.New("sdk: block without candidates")
	errString  = errors.New("sdk: string outside its block")
)

// Parse checks a block that did not come from this process, such as a recorded decision. Of a block that it accepts,
// every method of Query and Candidate is safe.
func Parse(block []byte) (*Query, error) {
	if len(block) < abi.HeaderSize {
		return nil, errShort
	}
	q := view(block)
	header, stride, count := uint64(q.header), uint64(q.stride), uint64(q.count)
	switch {
	case header < abi.HeaderSize || stride < abi.FirstCandidateSize:
		return nil, errSizes
	case header%abi.Align != 0 || stride%abi.Align != 0:
		return nil, errAlign
	case count == 0:
		return nil, errNoCands
	case header > uint64(len(block)) || count > (uint64(len(block))-header)/stride:
		return nil, errShort
	}
	texts := []int{abi.ModelAt, abi.UserAt, abi.UserTagsAt}
	for i := range q.Count() {
		at := q.Candidate(i).at
		texts = append(texts, at+abi.ProviderAt, at+abi.ProviderModelAt, at+abi.TagsAt)
	}
	for _, at := range texts {
		if uint64(q.u32(at))+uint64(q.u32(at+4)) > uint64(len(block)) {
			return nil, errString
		}
	}
	return &q, nil
}

// Count returns the number of candidates; it is at least 1.
func (q *Query) Count() int { return q.count }

// Attempt is 0 for an exchange's first attempt and counts its retries.
func (q *Query) Attempt() int { return int(q.u32(abi.AttemptAt)) }

// Seq is drawn once per exchange and counts up per model, across reloads: Seq() % Count() is round robin.
func (q *Query) Seq() uint64 { return q.u64(abi.SeqAt) }

// Random is fresh for every call.
func (q *Query) Random() uint64 { return q.u64(abi.RandomAt) }

// Float returns Random as a number from 0 up to, not including, 1.
func (q *Query) Float() float64 { return float64(q.Random()>>11) / (1 << 53) }

// Now is the time of the attempt in Unix nanoseconds.
func (q *Query) Now() int64 { return int64(q.u64(abi.NowAt)) }

// Affinity is equal for requests of one session: the hash of the session header, else of the body's user, else of the
// user's id.
func (q *Query) Affinity() uint64 { return q.u64(abi.AffinityAt) }

// Prefix is the hash of the body's first 1,024 bytes without the model's value: equal prompts start alike.
func (q *Query) Prefix() uint64 { return q.u64(abi.PrefixAt) }

// PromptTokens estimates the prompt's length as a quarter of the body's bytes.
func (q *Query) PromptTokens() int { return int(q.u32(abi.PromptTokensAt)) }

// MaxTokens is how many tokens the client wants at most; 0 is unknown.
func (q *Query) MaxTokens() int { return int(q.u32(abi.MaxTokensAt)) }

// Stream tells whether the client asked for a stream.
func (q *Query) Stream() bool { return q.u32(abi.FlagsAt)&abi.QueryStream != 0 }

// Panic tells that no healthy candidate was left: those shown are held down by an active check alone.
func (q *Query) Panic() bool { return q.u32(abi.FlagsAt)&abi.QueryPanic != 0 }

// Model is the name that the client asked for.
func (q *Query) Model() string { return q.text(abi.ModelAt) }

// User is the user's id.
func (q *Query) User() string { return q.text(abi.UserAt) }

// UserTags are the user's tags, separated by commas.
func (q *Query) UserTags() string { return q.text(abi.UserTagsAt) }

// Candidate returns the candidate of index i, from 0 to Count()-1.
func (q *Query) Candidate(i int) Candidate {
	at := q.header + i*q.stride
	return Candidate{q, at, (*[abi.FirstCandidateSize]byte)(q.block[at:])}
}

// A Candidate is a backend that may be picked. Averages are exponentially weighted, with 0.2 for the newest sample.
type Candidate struct {
	q     *Query
	at    int                           // offset in the block
	fixed *[abi.FirstCandidateSize]byte // the fields of every version: reading them needs no check of bounds
}

// A Timing is what is known of a candidate's speed at requests of one kind; its fields are documented in package abi.
type Timing = abi.Timing

// ID is stable for an upstream: the hash of its provider's id and of its model.
func (c Candidate) ID() uint64 { return load64(c.fixed[abi.IDAt:]) }

// Weight is at least 0; only its ratio to the others' means something.
func (c Candidate) Weight() float64 { return float64At(c.fixed[abi.WeightAt:]) }

// Priority orders backends; the lower number comes first.
func (c Candidate) Priority() int { return int(int32(load32(c.fixed[abi.PriorityAt:]))) }

// Unhealthy tells that an active check holds the backend down; it is shown only in a panic.
func (c Candidate) Unhealthy() bool {
	return load32(c.fixed[abi.CandFlagsAt:])&abi.CandidateUnhealthy != 0
}

// Probing tells that the backend comes back from a cooldown: this attempt would be its probe.
func (c Candidate) Probing() bool { return load32(c.fixed[abi.CandFlagsAt:])&abi.CandidateProbing != 0 }

// InFlight is the number of attempts under way.
func (c Candidate) InFlight() int { return int(load32(c.fixed[abi.InFlightAt:])) }

// Samples is the number of attempts behind the averages.
func (c Candidate) Samples() int { return int(load32(c.fixed[abi.SamplesAt:])) }

// Latency is the average time to a useful answer in milliseconds; 0 is unknown.
func (c Candidate) Latency() float64 { return float64At(c.fixed[abi.LatencyAt:]) }

// TTFT is the average time to a stream's first token in milliseconds; 0 is unknown.
func (c Candidate) TTFT() float64 { return float64At(c.fixed[abi.TTFTAt:]) }

// Success is the average success rate from 0 to 1; 1 when nothing is known.
func (c Candidate) Success() float64 { return float64At(c.fixed[abi.SuccessAt:]) }

// LastFailure is the time of the last failure in Unix nanoseconds; 0 is never.
func (c Candidate) LastFailure() int64 { return int64(load64(c.fixed[abi.LastFailureAt:])) }

// CostInput is the price of a million input tokens, as configured.
func (c Candidate) CostInput() float64 { return float64At(c.fixed[abi.CostInputAt:]) }

// CostOutput is the price of a million output tokens, as configured.
func (c Candidate) CostOutput() float64 { return float64At(c.fixed[abi.CostOutputAt:]) }

// Failures is the number of failures since the last success.
func (c Candidate) Failures() int { return int(load32(c.fixed[abi.FailuresAt:])) }

// Provider is the provider's id in the config.
func (c Candidate) Provider() string { return c.q.text(c.at + abi.ProviderAt) }

// ProviderModel is the provider's name for the model.
func (c Candidate) ProviderModel() string { return c.q.text(c.at + abi.ProviderModelAt) }

// Tags are the backend's tags, separated by commas.
func (c Candidate) Tags() string { return c.q.text(c.at + abi.TagsAt) }

// Streamed is what is known of the backend's speed at requests for a stream: above all the average time to the first token,
// in milliseconds. Everything is zero when nothing is known, and in a gateway that is older than the field.
func (c Candidate) Streamed() Timing { return c.timing(abi.StreamedAt) }

// Plain is what is known of the backend's speed at requests for a plain answer: above all the average time to its end, in
// milliseconds. Everything is zero when nothing is known, and in a gateway that is older than the field.
func (c Candidate) Plain() Timing { return c.timing(abi.PlainAt) }

func (c Candidate) timing(at int) Timing {
	if c.q.stride < at+abi.TimingSize {
		return Timing{}
	}
	return loadTiming(c.q.block[c.at+at:][:abi.TimingSize])
}

func (q *Query) u32(at int) uint32 { return load32(q.block[at : at+4]) }
func (q *Query) u64(at int) uint64 { return load64(q.block[at : at+8]) }

// text returns a string that shares the block's memory: copying would wake the guest's garbage collector.
func (q *Query) text(at int) string {
	offset, length := q.u32(at), q.u32(at+4)
	if length == 0 {
		return ""
	}
	b := q.block[offset:][:length]
	return unsafe.String(&b[0], len(b))
}

func float64At(b []byte) float64 { return math.Float64frombits(load64(b)) }
