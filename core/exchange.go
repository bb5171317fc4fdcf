package core

import (
	"errors"
	"net/http"
	"time"

	"github.com/berrygate/berry/core/api"
	"github.com/berrygate/berry/core/apierror"
	"github.com/berrygate/berry/core/body"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/sdk/abi"
)

// An Operation is one of the calls that clients make.
type Operation struct {
	Name     string   // by the GenAI conventions, such as chat or embeddings, or in their style
	Method   string   // of its requests
	Path     string   // below /v1, such as /chat/completions; "" for the list of models
	Media    bool     // the response may be something else than JSON, such as sound
	Resolver Resolver // finds the model; nil if the JSON body names it
	Terminal string   // the type of a stream's last event, such as speech.audio.done; "" is [DONE]

	Protocol api.Protocol // that the client speaks
}

// Realtime is the path of WebSockets, below /v1.
const Realtime = "/realtime"

// Route returns the operation's path with placeholders, which operators see instead of the request's path: a client could have put anything
// there.
func (o Operation) Route() string {
	if o.Path == "" {
		return "/v1/models"
	}
	return "/v1" + o.Path
}

// An Exchange is one client request on its way through the pipeline. It belongs to the goroutine that serves the request. The comments name
// the writer of each field; later stages may read it.
type Exchange struct {
	ID          string              // server: the request's id
	Operation   Operation           // server
	Request     *http.Request       // server
	Writer      http.ResponseWriter // server; only relay writes to it, and the server if nothing was committed
	Started     time.Time           // server
	MaxBody     int64               // server: bytes
	MaxPause    time.Duration       // server: of the client within its body
	Place       Place               // server: nil if the number of exchanges is not limited
	Turns       *Turns              // server: of large bodies; nil: no limit
	Trace       *spans.Trace        // server; nil if the exchange is not traced
	DecisionLog DecisionLog         // server; nil if decisions are not recorded
	Stage       string              // pipeline: the current stage, or the one that failed
	Stages      []StageTime         // pipeline: those that have ended, in order

	User        *User        // auth; nil if the pipeline has no auth
	Body        body.Body    // Catalog.Resolve
	Model       *Model       // Catalog.Resolve
	Passthrough *Passthrough // Catalog.Resolve; nil if the body names a model
	Stored      *api.Stored  // Catalog.Resolve: the stored response of the call; nil if none

	Seq            uint64     // select: the model's sequence number
	Affinity       uint64     // select
	Deadline       time.Time  // select: for the beginning of the response; zero: none
	ClientDeadline bool       // select: the deadline is the client's; exceeding it does not affect a backend's health
	Attempts       []*Attempt // route, in order; relay ends each
	Faults         []Fault    // route: of strategies

	Committed bool    // relay: the client has received the beginning of a response
	Status    int     // with Committed: the status that the client received
	Aborted   bool    // relay or server: the response is truncated, so the connection must be closed
	Outcome   Outcome // server, when the response has ended
}

// A Place is an exchange's place among those in flight, whose number is limited. Its errors are *apierror.Error.
type Place interface {
	// Arrive is called before the body is read. It fails if there is no place, or if too many bodies of the user are arriving.
	Arrive() error
	// Enter takes the place: the body has arrived, or passes as it arrives.
	Enter(arrived bool) error
}

// A StageTime is how long a stage took.
type StageTime struct {
	Name   string
	Took   time.Duration
	Failed bool // it ended the run
}

// A Fault is a strategy's failure to pick.
type Fault struct {
	Strategy string
	Err      error
}

// Reason returns the kind of fault in a word, for metrics; "other" if the selector has none.
func (f Fault) Reason() string {
	var r interface {
		error
		Reason() string
	}
	if errors.As(f.Err, &r) {
		return r.Reason()
	}
	return "other"
}

// An Outcome is how an exchange ended.
type Outcome struct {
	Status   int // HTTP status, or StatusClientGone
	Err      error
	Stage    string // that failed; "" if none
	Duration time.Duration
}

// Name returns the outcome in a word, for metrics and logs: ok, refused (the request's own fault), failed, or cancelled (the client
// disconnected).
func (o Outcome) Name() string {
	switch {
	case o.Status == apierror.StatusClientGone:
		return "cancelled"
	case o.Err != nil && isRefusal(o.Err):
		return "refused"
	case o.Err != nil, o.Status >= 500:
		return "failed"
	case o.Status >= 400: // a provider's error
		return "refused"
	default:
		return "ok"
	}
}

func isRefusal(err error) bool {
	var e *apierror.Error
	return errors.As(err, &e) && e.Type == apierror.TypeInvalidRequest
}

// Commit records that the client has received the beginning of a response with the status.
func (x *Exchange) Commit(status int) { x.Committed, x.Status = true, status }

// Abort records that the response is truncated, so that the server closes the connection.
func (x *Exchange) Abort() { x.Aborted = true }

// Last returns the latest attempt; nil before select.
func (x *Exchange) Last() *Attempt {
	if len(x.Attempts) == 0 {
		return nil
	}
	return x.Attempts[len(x.Attempts)-1]
}

// Abandon ends at now an attempt that was begun but never ended, without an effect on the backend's health. It does nothing if there is
// none.
func (x *Exchange) Abandon(now time.Time) {
	if a := x.Last(); a != nil && a.Ended.IsZero() {
		a.Failure = &Failure{Result: abi.ClientCancelled}
		a.End(now, upstream.Policy{})
	}
}

// Source returns the exchange's source, by which health counts failures.
func (x *Exchange) Source() upstream.Source {
	return upstream.Source{User: x.UserID(), Path: x.Operation.Path}
}

// source returns the client's body.
func (x *Exchange) source() body.Source {
	return body.Source{Request: x.Request, Writer: x.Writer, Started: x.Started, Max: x.MaxBody, MaxPause: x.MaxPause}
}

// UserID returns the user's id; "" if the pipeline has no auth.
func (x *Exchange) UserID() string {
	if x.User == nil {
		return ""
	}
	return x.User.ID
}
