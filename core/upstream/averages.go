package upstream

import (
	"math"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// alpha is the weight of the newest sample in an average, as the ABI has it.
const alpha = 0.2

// Averages are exponentially weighted averages of an upstream's attempts. The zero value has no samples.
type Averages struct {
	Samples   uint32     // attempts behind the success rate
	LatencyMS float64    // from an attempt's start to its commit; 0 is unknown
	TTFTMS    float64    // to a stream's first token; 0 is unknown
	Streamed  abi.Timing // of requests for a stream
	Plain     abi.Timing // of all others
	failure   float64    // rate; kept this way round so that the zero value is a perfect success
}

// Success returns the success rate, from 0 to 1; 1 without samples.
func (a Averages) Success() float64 { return 1 - a.failure }

// add adds an attempt that ended at now. A request rejected for its own fault, or a client that disconnected, is no sample of the success
// rate, nor of the time of a useful response: it counts as a miss of the timing only.
func (a *Averages) add(r Report, now time.Time) {
	switch {
	case r.Result == abi.OK:
		a.rate(0)
		a.LatencyMS = moved(a.LatencyMS, millis(r.Latency))
		a.TTFTMS = moved(a.TTFTMS, millis(r.TTFT))
	case r.Result == abi.ClientCancelled, r.Answered:
	default:
		a.rate(1)
	}
	if r.Streamed {
		addTo(&a.Streamed, r, now)
	} else {
		addTo(&a.Plain, r, now)
	}
}

func (a *Averages) rate(failed float64) {
	a.Samples++
	a.failure += alpha * (failed - a.failure)
}

func moved(average, sample float64) float64 {
	switch {
	case sample <= 0:
		return average
	case average == 0:
		return sample
	default:
		return average + alpha*(sample-average)
	}
}

// addTo adds an attempt to the timing of its kind. If its client disconnected after a stream's first token, the time to it is known.
func addTo(t *abi.Timing, r Report, now time.Time) {
	useful := r.Result == abi.OK || r.Result == abi.ClientCancelled && r.TTFT > 0
	if !useful || r.Latency <= 0 {
		t.Misses++
		return
	}
	t.Samples++
	t.Misses, t.LastSuccess = 0, now.UnixNano()
	weight := max(alpha, 1/float64(t.Samples)) // the first weigh alike, or the very first would outweigh its successors
	t.MS = drawn(t.MS, millis(r.Latency), weight)
	switch tokens := float64(r.OutputTokens); {
	case r.TTFT > 0 && tokens > 1:
		t.TokenMS = drawn(t.TokenMS, millis(r.Took-r.TTFT)/(tokens-1), weight)
	case r.TTFT == 0 && tokens > 0:
		t.TokenMS = drawn(t.TokenMS, millis(r.Latency)/tokens, weight)
	}
}

// drawn returns the geometric average, moved towards the sample: a sample 250 times as large, at a weight of 0.2, triples it, while it would
// make an arithmetic average 50 times as large.
func drawn(average, sample, weight float64) float64 {
	switch {
	case sample <= 0:
		return average
	case average == 0:
		return sample
	default:
		return average * math.Pow(sample/average, weight)
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
