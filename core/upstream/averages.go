package upstream

import "time"

// alpha is the share of the newest sample in an average; the ABI names it.
const alpha = 0.2

// Averages are exponentially weighted over an upstream's attempts. The zero value knows nothing.
type Averages struct {
	Samples   uint32  // attempts behind the success rate
	LatencyMS float64 // from an attempt's start to its commit; 0 is unknown
	TTFTMS    float64 // to a stream's first token; 0 is unknown
	failure   float64 // rate; kept this way round so that the zero value is a perfect success
}

// Success is the success rate from 0 to 1; 1 when there are no samples.
func (a Averages) Success() float64 { return 1 - a.failure }

// add counts one attempt; a latency or ttft of 0 is no sample.
func (a *Averages) add(ok bool, latency, ttft time.Duration) {
	a.Samples++
	failed := 1.0
	if ok {
		failed = 0
	}
	a.failure += alpha * (failed - a.failure)
	a.LatencyMS = moved(a.LatencyMS, latency)
	a.TTFTMS = moved(a.TTFTMS, ttft)
}

func moved(average float64, sample time.Duration) float64 {
	ms := float64(sample) / float64(time.Millisecond)
	switch {
	case sample <= 0:
		return average
	case average == 0:
		return ms
	default:
		return average + alpha*(ms-average)
	}
}
