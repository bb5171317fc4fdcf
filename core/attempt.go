package core

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// An Attempt is one try of one backend within an exchange. The comments name the writer of each field.
type Attempt struct {
	Backend  *Backend
	Number   int    // from 0
	PickedBy string // the strategy's name; "" if priority alone decided
	Fuel     int64  // of the strategy's pick
	Shadow   ShadowPick
	Probe    upstream.Probe  // the probe slots that the attempt holds
	Source   upstream.Source // of the exchange
	Began    time.Time
	Streamed bool // the client asked for a stream

	Waited     time.Duration // relay: for the client's upload, until Committed
	Committed  time.Time     // Commit; zero before
	Stream     bool          // relay: the response is a stream
	FirstToken time.Time     // relay: of a stream; zero if there was none
	Usage      api.Usage     // relay: as the provider reported it
	Dropped    int           // relay: malformed events
	Failure    *Failure      // relay: nil if the response was complete
	Status     int           // relay: the provider's HTTP status; 0 if there was none
	Ended      time.Time     // End
}

// A Failure is why an attempt failed and what follows. core/route classifies errors.
type Failure struct {
	Result          abi.Result
	Status          int            // the provider's, or that of its error within a 200; 0 if there was no response
	Retryable       bool           // another attempt may succeed
	NoRepeat        bool           // the same backend would fail again: only another one is tried
	ContextExceeded bool           // the prompt exceeds the context window: only a larger one may succeed
	Untranslatable  bool           // the request cannot be sent to the backend, which is not affected: only another one may succeed
	Reset           bool           // the connection broke before a response
	Scope           upstream.Scope // whose health it affects
	Doubtful        bool           // the request itself may be the cause
	AtOnce          bool           // it starts a cooldown whatever the threshold
	RefusedKey      bool           // the provider refused the gateway's key

	RetryAfter time.Duration // as the provider says; 0 if it does not
	Asked      bool          // RetryAfter holds even if it is 0

	Answer      *Answer         // the provider's, if the client may receive it
	ClientError *apierror.Error // what the client receives if every attempt fails so; nil: 502 or 504
	Err         error           // for the log
}

// Kind returns the failure in a word: the provider's status, or the kind of failure if there was no response.
func (f *Failure) Kind() string {
	switch {
	case f.Untranslatable && f.ClientError != nil:
		return f.ClientError.Code
	case f.Untranslatable:
		return "untranslatable"
	case f.Status > 299:
		return strconv.Itoa(f.Status)
	default:
		return f.Result.String()
	}
}

// An Answer is a provider's response that the client may receive later.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Page   bool // the body is not the API's, but for example a proxy's page
}

// Result returns how the attempt ended; abi.OK if it did not fail.
func (a *Attempt) Result() abi.Result {
	if a.Failure == nil {
		return abi.OK
	}
	return a.Failure.Result
}

// Latency returns the time from the attempt's start to its commit; 0 if it was not committed. Waits for the client's upload do not count.
func (a *Attempt) Latency() time.Duration { return since(a.Began.Add(a.Waited), a.Committed) }

// TTFT returns the time to a stream's first token; 0 if there was none.
func (a *Attempt) TTFT() time.Duration { return since(a.Began.Add(a.Waited), a.FirstToken) }

func since(began, t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(t.Sub(began), 1)
}

// Cost returns the cost of the tokens, in the unit of the config's cost_input and cost_output. Providers bill broken responses, too.
func (a *Attempt) Cost() float64 {
	const per = 1e6
	return (float64(a.Usage.InputTokens)*a.Backend.CostInput + float64(a.Usage.OutputTokens)*a.Backend.CostOutput) / per
}

// Commit records that the backend has responded with something useful at now.
func (a *Attempt) Commit(now time.Time) {
	a.Committed = now
	slots := a.Probe
	a.Probe = 0
	a.Backend.Upstream.Commit(a.Began, now, slots)
}

// End records how the attempt ended at now, and reports it to the upstream. Further calls do nothing.
func (a *Attempt) End(now time.Time, p upstream.Policy) {
	if !a.Ended.IsZero() {
		return
	}
	a.Ended = now
	r := upstream.Report{
		Began: a.Began, Result: a.Result(), Probe: a.Probe, Source: a.Source,
		Streamed: a.Streamed, Latency: a.Latency(), TTFT: a.TTFT(), Took: since(a.Began.Add(a.Waited), now),
		Answered:    a.Failure == nil || a.Failure.Result == abi.ClientError && !a.Failure.Retryable,
		InputTokens: a.Usage.InputTokens, OutputTokens: a.Usage.OutputTokens, Cost: a.Cost(),
	}
	switch f := a.Failure; {
	case f == nil:
	case f.Untranslatable: // nothing was sent
		r.Result, r.Answered = abi.ClientCancelled, false
	default:
		r.Scope, r.Doubtful, r.AtOnce, r.RefusedKey = f.Scope, f.Doubtful, f.AtOnce, f.RefusedKey
		r.Asked, r.RetryAfter, r.Reason = f.Asked, f.RetryAfter, RootCause(f.Err)
	}
	a.Backend.Upstream.End(now, r, p)
	a.Backend.Counter.Add(r)
}

// RootCause returns the innermost error of a connection's error, such as "connection refused" or "no such host"; of other errors their text.
func RootCause(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return dns.Err
	default:
		return err.Error()
	}
}

// Outcome returns what stateful strategies observe of an attempt that has ended.
func (a *Attempt) Outcome(x *Exchange) abi.Outcome {
	latency := a.Latency()
	if latency == 0 {
		latency = a.Ended.Sub(a.Began)
	}
	return abi.Outcome{
		Candidate: a.Backend.Upstream.ID, Seq: x.Seq, Model: abi.Hash(x.Model.Name), Attempt: uint32(a.Number),
		Result: a.Result(), Status: uint32(a.Status), LatencyMS: Millis(latency), TTFTMS: Millis(a.TTFT()),
		InputTokens: a.Usage.InputTokens, OutputTokens: a.Usage.OutputTokens,
	}
}

// Millis returns d in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
