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

// An Operation is one of the API's calls.
type Operation struct {
	Name     string   // by the GenAI conventions: chat, text_completion, embeddings; where they know none, in their manner
	Method   string   // of its requests
	Path     string   // below /v1, such as /chat/completions; "" for the list of models
	Media    bool     // an answer may be something else than JSON, such as sound
	Resolver Resolver // finds the model; nil if the JSON body names it
	Terminal string   // the type of the event that a stream ends with, such as speech.audio.done; "" is [DONE]

	Protocol api.Protocol // that the client speaks
}

// Realtime is the path of WebSockets, below /v1.
const Realtime = "/realtime"

// Route returns what the operator is shown instead of a request's path, in which a client could have put anything.
func (o Operation) Route() string {
	if o.Path == "" {
		return "/v1/models"
	}
	return "/v1" + o.Path
}

// An Exchange is one client request on its way through the pipeline, and what came of it. It belongs to the one
// goroutine that serves the request. Each field names its writer; everybody after that may read it.
type Exchange struct {
	ID          string              // server: the request's id
	Operation   Operation           // server
	Request     *http.Request       // server
	Writer      http.ResponseWriter // server; only relay writes to it, and the server if nothing was committed
	Started     time.Time           // server
	MaxBody     int64               // server: bytes
	MaxPause    time.Duration       // server: how long the client may pause within its body
	Place       Place               // server: among the exchanges under way; nil if their number is not bounded
	Turns       *Turns              // server: of large bodies; nil if they take none
	Trace       *spans.Trace        // server; nil if nobody records the exchange
	DecisionLog DecisionLog         // server: keeps the decisions; nil if nobody does
	Stage       string              // pipeline: the stage under way, or the one that failed
	Stages      []StageTime         // pipeline: those that have ended, in order

	User        *User        // auth; nil if the pipeline has no auth
	Body        body.Body    // Catalog.Resolve
	Model       *Model       // Catalog.Resolve
	Passthrough *Passthrough // Catalog.Resolve: where the call passes as it is; nil of one whose body names its model
	Stored      *api.Stored  // Catalog.Resolve: the response that the call is for; nil of any other

	Seq            uint64     // select: the model's sequence number
	Affinity       uint64     // select
	Deadline       time.Time  // select: until when an answer must have begun; zero is never
	ClientDeadline bool       // select: the deadline is the client's own, and what it ends counts against nobody
	Attempts       []*Attempt // route, in order; relay ends each
	Faults         []Fault    // route: of strategies that should have picked

	Committed bool    // relay: the client has got the beginning of an answer
	Status    int     // with Committed: the status that the client got
	Aborted   bool    // relay or server: the answer is not whole, and only closing the connection says so
	Outcome   Outcome // server, when the answer has ended
}

// A Place is an exchange's among those under way, whose number is bounded. Its errors are *Error.
type Place interface {
	// Arrive is called before the body is read. It fails if there is no place, or if too many bodies of the user's are on their way in.
	Arrive() error
	// Enter takes the place: the body has arrived, or it passes as it comes.
	Enter(arrived bool) error
}

// A StageTime is how long a stage took.
type StageTime struct {
	Name   string
	Took   time.Duration
	Failed bool // the walk ended with it
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

// An Outcome is what came of an exchange.
type Outcome struct {
	Status   int // HTTP status, or StatusClientGone
	Err      error
	Stage    string // that failed; "" if none
	Duration time.Duration
}

// Name returns the outcome in a word, for metrics and logs: ok, refused (the request's own fault), failed, or cancelled (the
// client left).
func (o Outcome) Name() string {
	switch {
	case o.Status == apierror.StatusClientGone:
		return "cancelled"
	case o.Err != nil && isRefusal(o.Err):
		return "refused"
	case o.Err != nil, o.Status >= 500:
		return "failed"
	case o.Status >= 400: // a provider's own refusal
		return "refused"
	default:
		return "ok"
	}
}

func isRefusal(err error) bool {
	var e *apierror.Error
	return errors.As(err, &e) && e.Type == apierror.TypeInvalidRequest
}

// Last returns the latest attempt; nil before select.
func (x *Exchange) Last() *Attempt {
	if len(x.Attempts) == 0 {
		return nil
	}
	return x.Attempts[len(x.Attempts)-1]
}

// Abandon ends at now an attempt that was begun but never ended, as if the client had left: it counts against nobody. It
// does nothing if there is none.
func (x *Exchange) Abandon(now time.Time) {
	if a := x.Last(); a != nil && a.Ended.IsZero() {
		a.Failure = &Failure{Result: abi.ClientCancelled}
		a.End(now, upstream.Policy{})
	}
}

// Source returns whose exchange it is, as health counts evidence by.
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
