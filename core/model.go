package core

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/responseid"
	"github.com/berrygate/berry/core/upstream"
)

// A User is a client of the gateway. It is immutable but for its counters.
type User struct {
	ID            string // the config's key
	Name          string
	Tags          string // comma-separated
	Enabled       bool
	Allowed       []string      // client-facing models; empty allows all
	FilesProvider string        // the provider that stores the user's files, unless the client names one; "": none
	Counters      *UserCounters // survive reloads
}

// May reports whether the user may use the model with the client-facing name. A nil user, of a pipeline without auth, may use all.
func (u *User) May(model string) bool { return u.MayAll() || slices.Contains(u.Allowed, model) }

// MayAll reports whether the user may use all models.
func (u *User) MayAll() bool { return u == nil || len(u.Allowed) == 0 }

// MayFiles reports whether the user may use the files and batches of the provider: a batch can request any of its models. A nil user may use
// all.
func (u *User) MayFiles(account string) bool {
	return u.MayAll() || u.FilesProvider == account
}

// A Model is a name that clients request, and the backends behind it. It is immutable but for Seq.
type Model struct {
	Name           string
	Strategy       NamedSelector
	Fallback       NamedSelector // picks when the strategy faults; its Selector is nil if there is none
	Shadow         NamedSelector // picks without effect; its Selector is nil if there is none
	Backends       []*Backend
	RecoverStreams bool           // a stream is buffered until it is complete, and restarted on another backend if it breaks
	OwnName        bool           // responses contain Name instead of the provider's name
	Seq            *atomic.Uint64 // incremented once per exchange
	ProviderID     string         // the provider that the model stands for in calls to an account; "" of a real model
}

// A NamedSelector is a strategy's selector with its name.
type NamedSelector struct {
	Name            string
	SHA256          string // of the module, in hexadecimal
	Selector        Selector
	OutcomeObserver OutcomeObserver // nil if the strategy is stateless
}

// A Backend is an upstream that serves a model. It is immutable but for its upstream's state.
type Backend struct {
	Upstream      *upstream.Upstream
	Adapter       adapter.Adapter
	System        string // the provider's kind, by the GenAI conventions: openai, azure.ai.openai
	ModelJSON     string // the provider's model as a JSON string, quotes included
	Weight        float64
	Priority      int32
	Tags          string  // comma-separated
	CostInput     float64 // per 1M tokens
	CostOutput    float64
	ContextWindow int               // tokens of a prompt and its response; 0: unknown
	Timeout       time.Duration     // of one attempt
	MaxInFlight   int               // attempts at its provider; 0: no limit
	Secrets       Secrets           // of requests to it
	Stored        responseid.Key    // of the ids of responses that its provider stores
	Counter       *upstream.Counter // of the model's attempts; nil: not counted
}

// ContainsSecret reports whether a provider's text contains a secret of requests to it. Only the operator may see such a text.
func (b *Backend) ContainsSecret(text []byte) bool { return b.Secrets.In(text) }

// Serves reports whether the provider's type serves calls with the path, such as /embeddings. A backend without an adapter, as in a
// simulation, serves all.
func (b *Backend) Serves(path string) bool { return b.Adapter == nil || b.Adapter.Serves(path) }

// Answers reports whether the backend serves such calls, translated if need be.
func (b *Backend) Answers(o Operation) bool {
	return b.Adapter == nil || o.Protocol.Serves(b.Adapter, o.Path)
}

// Tagged reports whether the backend has the tag.
func (b *Backend) Tagged(tag string) bool { return slices.Contains(strings.Split(b.Tags, ","), tag) }

// Full reports whether the backend's provider has the maximum of attempts in flight.
func (b *Backend) Full() bool {
	return b.MaxInFlight > 0 && b.Upstream.Provider.InFlight() >= b.MaxInFlight
}
