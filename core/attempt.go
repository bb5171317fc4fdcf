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

// An Attempt is one try of one backend within an exchange.
type Attempt struct {
	Backend  *Backend
	Number   int    // from 0
	PickedBy string // the strategy's name; "" if priority alone decided
	Fuel     int64  // that the strategy's pick burned
	Shadow   ShadowPick
	Probe    upstream.Probe  // the probe slots that it holds
	Source   upstream.Source // whose exchange it is
	Began    time.Time
	Streamed bool // the client asked for a stream

	Waited     time.Duration // relay: for its client, within an upload, until Committed
	Committed  time.Time     // Commit: the backend has answered usefully; zero if it has not
	Stream     bool          // relay: the answer is a stream of events
	FirstToken time.Time     // relay: of a stream; zero if there was none
	Usage      api.Usage     // relay: as the provider reported it
	Dropped    int           // relay: malformed events
	Failure    *Failure      // relay: nil if it gave a whole answer
	Status     int           // relay: the provider's HTTP status; 0 if there was none
	Ended      time.Time     // End
}

// A Failure is why an attempt gave no whole answer, and what follows from that. core/route says it of each kind of failure.
type Failure struct {
	Result          abi.Result
	Status          int            // the provider's, or the one that its error within a 200 stands for; 0 if there was no answer
	Retryable       bool           // another attempt may succeed
	NoRepeat        bool           // the same backend would fail in the same way: only another one is asked
	ContextExceeded bool           // the prompt is longer than the model takes: only one that takes more may succeed
	Untranslatable  bool           // the request cannot be said in the backend's words, or not now, so it was not asked: only another may succeed
	Reset           bool           // the connection broke before an answer
	Scope           upstream.Scope // whose health it touches
	Doubtful        bool           // the request itself may be the cause
	AtOnce          bool           // it starts a cooldown without regard to the threshold
	RefusedKey      bool           // the provider refused the gateway's key

	RetryAfter time.Duration // how long the provider wants to be left alone; 0 if it did not say
	Asked      bool          // its backend is left alone for RetryAfter, be it 0

	Answer      *Answer         // the provider's own, if the client may see it
	ClientError *apierror.Error // what the client gets if every attempt has failed so; nil is the usual 502 or 504
	Err         error           // what happened, for the log
}

// Kind returns the failure in a word: the provider's status, or the kind of failure if there was none.
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

// An Answer is a provider's answer held back from the client.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Page   bool // the body is not the API's, but a page of a proxy's, say
}

// Result returns how the attempt ended: OK without a failure.
func (a *Attempt) Result() abi.Result {
	if a.Failure == nil {
		return abi.OK
	}
	return a.Failure.Result
}

// Latency returns the time that the backend took from the attempt's start to its commit; 0 if there was none.
func (a *Attempt) Latency() time.Duration { return since(a.Began.Add(a.Waited), a.Committed) }

// TTFT returns the time that it took to a stream's first token; 0 if there was none.
func (a *Attempt) TTFT() time.Duration { return since(a.Began.Add(a.Waited), a.FirstToken) }

func since(began, t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(t.Sub(began), 1)
}

// Cost returns what the backend's tokens have cost, in the unit of the config's cost_input and cost_output. What a broken answer has
// used is billed, too.
func (a *Attempt) Cost() float64 {
	const per = 1e6
	return (float64(a.Usage.InputTokens)*a.Backend.CostInput + float64(a.Usage.OutputTokens)*a.Backend.CostOutput) / per
}

// Commit records at now that the backend has answered usefully.
func (a *Attempt) Commit(now time.Time) {
	a.Committed = now
	slots := a.Probe
	a.Probe = 0
	a.Backend.Upstream.Commit(a.Began, now, slots)
}

// End records at now how the attempt ended with its upstream. It does so once; calling it again does nothing.
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
	case f.Untranslatable: // it says nothing of who was not asked
		r.Result, r.Answered = abi.ClientCancelled, false
	default:
		r.Scope, r.Doubtful, r.AtOnce, r.RefusedKey = f.Scope, f.Doubtful, f.AtOnce, f.RefusedKey
		r.Asked, r.RetryAfter, r.Reason = f.Asked, f.RetryAfter, RootCause(f.Err)
	}
	a.Backend.Upstream.End(now, r, p)
	a.Backend.Counter.Add(r)
}

// RootCause returns what is at the bottom of a connection's error, such as "connection refused" or "no such host"; of other
// errors their text.
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

// Outcome returns what a stateful strategy is told of the attempt when it has ended.
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
