package upstream

import (
	"math"
	"time"

	"github.com/berrygate/berry/sdk/abi"
)

// alpha is the share of the newest sample in an average; the ABI names it.
const alpha = 0.2

// Averages are exponentially weighted over an upstream's attempts. The zero value knows nothing.
type Averages struct {
	Samples   uint32     // attempts behind the success rate
	LatencyMS float64    // from an attempt's start to its commit; 0 is unknown
	TTFTMS    float64    // to a stream's first token; 0 is unknown
	Streamed  abi.Timing // of requests for a stream
	Plain     abi.Timing // of all others
	failure   float64    // rate; kept this way round so that the zero value is a perfect success
}

// Success is the success rate from 0 to 1; 1 when there are no samples.
func (a Averages) Success() float64 { return 1 - a.failure }

// add counts an attempt that ended at now. A refusal for the request's own fault and a client that left are no samples of
// the success rate, nor of how long a useful answer takes: they are misses of the timing alone.
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

// addTo counts an attempt in the timing of its kind. A stream that its client left after the first token had an answer
// whose beginning is known.
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

// drawn returns the geometric average drawn towards the sample: one that is 250 times as long, at a weight of 0.2, triples it,
// where it would make an arithmetic one 50 times as long.
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
