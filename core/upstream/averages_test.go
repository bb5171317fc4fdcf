package upstream

import (
	"math"
	"testing"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

const ms = time.Millisecond

// answered is a plain answer that took so long.
func answered(took time.Duration) Report {
	return Report{Result: abi.OK, Answered: true, Latency: took, Took: took, OutputTokens: 10}
}

// Each kind of request has a timing of its own; what is no useful answer is a miss, and no sample.
func TestTimings(t *testing.T) {
	stream := Report{Result: abi.OK, Answered: true, Streamed: true, Latency: 50 * ms, TTFT: 50 * ms, Took: 150 * ms, OutputTokens: 11}
	left := stream
	left.Result, left.OutputTokens = abi.ClientCancelled, 0
	refused := Report{Result: abi.ClientError, Answered: true}
	miss := func(r abi.Result, streamed bool) Report {
		return Report{Result: r, Streamed: streamed, Took: time.Second}
	}
	for name, test := range map[string]struct {
		reports         []Report
		streamed, plain abi.Timing
		samples         uint32
	}{
		"a plain answer": {[]Report{answered(300 * ms)}, abi.Timing{}, abi.Timing{MS: 300, TokenMS: 30, LastSuccess: 1, Samples: 1}, 1},
		"a stream":       {[]Report{stream}, abi.Timing{MS: 50, TokenMS: 10, LastSuccess: 1, Samples: 1}, abi.Timing{}, 1},
		"whose client left after its first token": {[]Report{left}, abi.Timing{MS: 50, LastSuccess: 1, Samples: 1}, abi.Timing{}, 0},
		"whose client left before":                {[]Report{miss(abi.ClientCancelled, true)}, abi.Timing{Misses: 1}, abi.Timing{}, 0},
		"that broke": {
			[]Report{{Result: abi.StreamBroken, Streamed: true, Latency: 50 * ms, TTFT: 50 * ms, Took: 90 * ms}}, abi.Timing{Misses: 1}, abi.Timing{}, 1,
		},
		"refusals alone":         {[]Report{refused, refused}, abi.Timing{}, abi.Timing{Misses: 2}, 0},
		"failures":               {[]Report{miss(abi.ServerError, false), miss(abi.AuthRefused, false)}, abi.Timing{}, abi.Timing{Misses: 2}, 2},
		"an answer after misses": {[]Report{refused, refused, answered(20 * ms)}, abi.Timing{}, abi.Timing{MS: 20, TokenMS: 2, LastSuccess: 1, Samples: 1}, 1},
	} {
		var a Averages
		for _, r := range test.reports {
			a.add(r, time.Unix(0, 1))
		}
		if a.Streamed != test.streamed || a.Plain != test.plain || a.Samples != test.samples {
			t.Errorf("%s: got %+v, %+v, %d samples; want %+v, %+v, %d", name, a.Streamed, a.Plain, a.Samples, test.streamed, test.plain, test.samples)
		}
	}
}

// One slow answer among many triples a timing's average, and makes the arithmetic one 50 times as long.
func TestOneSlowAnswerDoesNotGovern(t *testing.T) {
	var a Averages
	for range 20 {
		a.add(answered(20*ms), at(0))
	}
	a.add(answered(5*time.Second), at(0))
	if got, want := a.Plain.MS, 20*math.Pow(250, alpha); math.Abs(got-want) > 0.01 {
		t.Errorf("timing %v ms, want %v", got, want)
	}
	if a.LatencyMS < 1000 {
		t.Errorf("the arithmetic average is %v ms; it is as the ABI documents it no more", a.LatencyMS)
	}
	for range 10 {
		a.add(answered(20*ms), at(0))
	}
	if a.Plain.MS > 25 {
		t.Errorf("after ten quick ones %v ms", a.Plain.MS)
	}
}

// The first samples weigh alike, so that a slow first answer is soon one among others.
func TestFirstSamplesWeighAlike(t *testing.T) {
	var a Averages
	for _, took := range []time.Duration{64 * ms, 1 * ms, 1 * ms} {
		a.add(answered(took), at(0))
	}
	if got := a.Plain.MS; math.Abs(got-4) > 0.001 { // the cube root of 64
		t.Errorf("got %v ms, want 4", got)
	}
}
