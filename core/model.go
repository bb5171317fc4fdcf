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

// A User is a client of the gateway. It is immutable but for its tally.
type User struct {
	ID            string // the config's key
	Name          string
	Tags          string // comma-separated
	Enabled       bool
	Allowed       []string      // client-facing models; empty allows all
	FilesProvider string        // the provider that keeps the user's files, if the client names none; "" is none
	Counters      *UserCounters // outlives the config
}

// May tells whether the user may use the model with the client-facing name. A nil user, of a pipeline without auth, may
// use all.
func (u *User) May(model string) bool { return u.MayAll() || slices.Contains(u.Allowed, model) }

// MayAll tells whether the user may use all models.
func (u *User) MayAll() bool { return u == nil || len(u.Allowed) == 0 }

// MayFiles tells whether the user may use the files and batches of the account: a batch asks for any model of it. A nil user may
// use all.
func (u *User) MayFiles(account string) bool {
	return u.MayAll() || u.FilesProvider == account
}

// A Model is a name that clients ask for, and the backends behind it. It is immutable but for Seq.
type Model struct {
	Name           string
	Strategy       NamedSelector
	Fallback       NamedSelector // picks when the strategy faults; its Selector is nil if there is none
	Shadow         NamedSelector // is asked beside the strategy, to no effect; its Selector is nil if there is none
	Backends       []*Backend
	RecoverStreams bool           // a stream is held back until it is whole, and begun anew elsewhere if it breaks
	OwnName        bool           // answers carry Name, not the provider's name of the model
	Seq            *atomic.Uint64 // drawn once per exchange
	ProviderID     string         // the provider that this stands for, in calls that no model answers; "" of a model
}

// A NamedSelector is a selector under its strategy's name.
type NamedSelector struct {
	Name            string
	SHA256          string // of the module, in hexadecimal
	Selector        Selector
	OutcomeObserver OutcomeObserver // nil if the strategy is stateless
}

// A Backend is an upstream serving a model. It is immutable but for its upstream's state.
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
	ContextWindow int               // tokens that a prompt and its answer may have; 0 is unknown
	Timeout       time.Duration     // of one attempt
	MaxInFlight   int               // attempts at its provider; 0 is no limit
	Secrets       Secrets           // that requests to it are made with
	Stored        responseid.Key    // of the ids of responses that its provider stores
	Counter       *upstream.Counter // of the model's attempts; nil counts none
}

// ContainsSecret tells whether a text of the provider's quotes a secret that requests to it are made with. Whoever is not the operator
// must not see it.
func (b *Backend) ContainsSecret(text []byte) bool { return b.Secrets.In(text) }

// Serves tells whether the backend's provider is of a type that answers calls with the path, such as /embeddings. A backend
// without a dialect, as a simulator has it, serves all.
func (b *Backend) Serves(path string) bool { return b.Adapter == nil || b.Adapter.Serves(path) }

// Answers tells whether the backend answers such calls, as they are or translated.
func (b *Backend) Answers(o Operation) bool {
	return b.Adapter == nil || o.Protocol.Serves(b.Adapter, o.Path)
}

// Tagged tells whether the backend has the tag.
func (b *Backend) Tagged(tag string) bool { return slices.Contains(strings.Split(b.Tags, ","), tag) }

// Full tells whether the backend's provider has as many attempts under way as it may.
func (b *Backend) Full() bool {
	return b.MaxInFlight > 0 && b.Upstream.Provider.InFlight() >= b.MaxInFlight
}
