package main

import (
	"math"
	"testing"
	"time"

	"github.com/berrygate/berry/sdk"
	"github.com/berrygate/berry/sdk/abi"
)

// now is the time of the tests' queries.
const now = int64(1_700_000_000_000_000_000)

// plain returns a candidate whose plain answers have long been taking so many milliseconds, the last one just now.
func plain(ms float64, more ...func(*abi.Candidate)) abi.Candidate {
	c := abi.Candidate{Success: 1, Plain: abi.Timing{MS: ms, Samples: 50, LastSuccess: now}}
	for _, f := range more {
		f(&c)
	}
	return c
}

func inFlight(n uint32) func(*abi.Candidate) { return func(c *abi.Candidate) { c.InFlight = n } }
func missed(n uint32) func(*abi.Candidate)   { return func(c *abi.Candidate) { c.Plain.Misses = n } }
func samples(n uint32) func(*abi.Candidate)  { return func(c *abi.Candidate) { c.Plain.Samples = n } }
func success(rate float64) func(*abi.Candidate) {
	return func(c *abi.Candidate) { c.Success = rate }
}

func old(age time.Duration) func(*abi.Candidate) {
	return func(c *abi.Candidate) { c.Plain.LastSuccess = now - int64(age) }
}
func probing(c *abi.Candidate) { c.Flags |= abi.CandidateProbing }

// shares returns which part of many picks each candidate gets, over random numbers and sequences of an even spread.
func shares(q *abi.Query) []float64 {
	const picks = 1 << 14
	q.Now = now
	out := make([]float64, len(q.Candidates))
	for q.Seq = range uint64(picks) {
		q.Random = q.Seq * (0x9e3779b97f4a7c15) // the golden ratio's multiples are spread evenly
		out[pick(sdk.NewQuery(q))] += 1. / picks
	}
	return out
}

func TestShares(t *testing.T) {
	unknown := abi.Candidate{Success: 1}
	const explored = 1. / exploreOneIn
	for name, test := range map[string]struct {
		query       abi.Query
		least, most float64 // of the second candidate
	}{
		"equals":                        {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20)}}, 0.49, 0.51},
		"three times slower":            {abi.Query{Candidates: []abi.Candidate{plain(20), plain(60)}}, explored / 2, 0.08},
		"three times faster":            {abi.Query{Candidates: []abi.Candidate{plain(60), plain(20)}}, 0.92, 1},
		"a queue makes it slow":         {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20, inFlight(slots))}}, 0.1, 0.14},
		"a long one exiles it":          {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20, inFlight(10*slots))}}, 0, 0.002},
		"failing fast is not fast":      {abi.Query{Candidates: []abi.Candidate{plain(20), plain(10, success(0.1), missed(9))}}, explored / 2, explored},
		"refusals alone are doubted":    {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20, missed(4*slots))}}, explored / 2, explored},
		"one refusal is nothing":        {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20, missed(1))}}, 0.35, 0.5},
		"the unknown is tried at once":  {abi.Query{Candidates: []abi.Candidate{plain(1), unknown}}, 1 - explored, 1},
		"but not by everybody":          {abi.Query{Candidates: []abi.Candidate{plain(500), {Success: 1, InFlight: 1}}}, 0, explored},
		"nor when it has only refused":  {abi.Query{Candidates: []abi.Candidate{plain(500), {Success: 1, Plain: abi.Timing{Misses: 1}}}}, 0, explored},
		"nor when it has only failed":   {abi.Query{Candidates: []abi.Candidate{plain(500), {Success: 0.8, Plain: abi.Timing{Misses: 1}}}}, 0, explored},
		"nor by a retry":                {abi.Query{Attempt: 1, Candidates: []abi.Candidate{plain(500), unknown}}, 0, 0},
		"a cold start is spread":        {abi.Query{Candidates: []abi.Candidate{unknown, unknown}}, 0.45, 0.55},
		"also when all are busy":        {abi.Query{Candidates: []abi.Candidate{{Success: 1, InFlight: 3}, {Success: 1, InFlight: 3}}}, 0.49, 0.51},
		"the idler of unknown ones":     {abi.Query{Candidates: []abi.Candidate{{Success: 1, InFlight: 2 * slots}, {Success: 1, InFlight: 1}}}, 0.9, 1},
		"a probe is left to exploring":  {abi.Query{Candidates: []abi.Candidate{plain(20), plain(20, missed(9*slots), probing)}}, 0.9 * explored, 1.1 * explored},
		"and so if it never answered":   {abi.Query{Candidates: []abi.Candidate{plain(20), {Success: 1, Flags: abi.CandidateProbing}}}, 0.9 * explored, 1.1 * explored},
		"few samples are doubted":       {abi.Query{Candidates: []abi.Candidate{plain(20), plain(5000, samples(1))}}, 0.4, 0.5},
		"but by one request at a time":  {abi.Query{Candidates: []abi.Candidate{plain(20), plain(5000, samples(1), inFlight(1))}}, 0, explored},
		"what is old is doubted":        {abi.Query{Candidates: []abi.Candidate{plain(20), plain(5000, old(time.Hour))}}, 0.4, 0.5},
		"what is a minute old, hardly":  {abi.Query{Candidates: []abi.Candidate{plain(20), plain(5000, old(time.Minute))}}, 0.1, 0.25},
		"an age of the future is none":  {abi.Query{Candidates: []abi.Candidate{plain(20), plain(60, old(-time.Hour))}}, explored / 2, 0.08},
		"a stream is another kind":      {abi.Query{Flags: abi.QueryStream, Candidates: []abi.Candidate{streams(20), plain(20)}}, 1 - explored, 1},
		"streams by their first token":  {abi.Query{Flags: abi.QueryStream, Candidates: []abi.Candidate{streams(300), streams(50)}}, 0.95, 1},
		"short answers by their tokens": {abi.Query{MaxTokens: 10, Candidates: []abi.Candidate{tokens(900, 30), tokens(900, 90)}}, 0, 0.08},
		"long ones by what is usual":    {abi.Query{MaxTokens: 1000, Candidates: []abi.Candidate{tokens(900, 30), tokens(900, 90)}}, 0.49, 0.51},
		"the first, if all else fails":  {abi.Query{Candidates: []abi.Candidate{plain(1e300, success(0)), plain(1e300, success(0), missed(math.MaxUint32))}}, 0, explored},
	} {
		if got := shares(&test.query)[1]; got < test.least-1e-9 || got > test.most+1e-9 {
			t.Errorf("%s: got %.4f, want %.4f to %.4f", name, got, test.least, test.most)
		}
	}
}

func streams(ms float64) abi.Candidate {
	return abi.Candidate{Success: 1, Streamed: abi.Timing{MS: ms, Samples: 50, LastSuccess: now}}
}

func tokens(ms, perToken float64) abi.Candidate {
	return plain(ms, func(c *abi.Candidate) { c.Plain.TokenMS = perToken })
}

// Eight requests that come at once, before anything is known, begin at all four.
func TestColdStart(t *testing.T) {
	q := abi.Query{Candidates: make([]abi.Candidate, 4)}
	for q.Seq = range uint64(8) {
		q.Random = 1 // explores nothing
		q.Candidates[pick(sdk.NewQuery(&q))].InFlight++
	}
	for i, c := range q.Candidates {
		if c.InFlight == 0 {
			t.Errorf("candidate %d got none of 8", i)
		}
	}
}
