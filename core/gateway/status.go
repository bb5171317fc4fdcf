package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/core/wasm"
)

// A Status is the gateway's status for operators. It contains no secrets.
type Status struct {
	Config     ConfigStatus     `json:"config"`
	LastReload Reload           `json:"last_reload"`
	Providers  []ProviderStatus `json:"providers"`
	Upstreams  []UpstreamStatus `json:"upstreams"`
	Models     []ModelStatus    `json:"models"`
	Strategies []StrategyStatus `json:"strategies"`
	Users      []UserStatus     `json:"users"`
}

// A ConfigStatus is the current config.
type ConfigStatus struct {
	SHA256     string    `json:"sha256"` // of the file, as sha256sum prints it
	LoadedAt   time.Time `json:"loaded_at"`
	AgeSeconds float64   `json:"age_seconds"`
	Draining   int64     `json:"draining"` // earlier configs that exchanges still use
}

// A ProviderStatus is one enabled provider.
type ProviderStatus struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	State       string `json:"state"`            // healthy, cooling, probing, down or refused
	Reason      string `json:"reason,omitempty"` // of the state
	InFlight    int    `json:"in_flight"`
	MaxInFlight int    `json:"max_in_flight"` // 0: no limit
}

// A ModelStatus is one enabled model.
type ModelStatus struct {
	Name     string          `json:"name"`
	Strategy string          `json:"strategy"`
	Requests uint64          `json:"requests"` // that reached select since the process's start
	Backends []BackendStatus `json:"backends"`
}

// A LiveStatus is the live state of an upstream. Models that share it show the same.
type LiveStatus struct {
	Provider  string  `json:"provider"`
	Model     string  `json:"model"`            // the provider's name of it
	State     string  `json:"state"`            // healthy, cooling, probing, down or refused
	Reason    string  `json:"reason,omitempty"` // of the state
	InFlight  int     `json:"in_flight"`
	Samples   uint32  `json:"samples"`
	Success   float64 `json:"success_rate"`
	LatencyMS float64 `json:"latency_ms"` // 0: unknown
	TTFTMS    float64 `json:"ttft_ms"`    // 0: unknown
	Failures  int     `json:"consecutive_failures"`
}

// An UpstreamStatus is one upstream of the enabled models.
type UpstreamStatus struct {
	LiveStatus
	Models   []string       `json:"models"`   // that it serves
	Attempts AttemptsStatus `json:"attempts"` // for all models, also before the last reload
}

// A BackendStatus is one enabled backend of a model.
type BackendStatus struct {
	LiveStatus
	Attempts AttemptsStatus `json:"attempts"` // for this model
}

// An AttemptsStatus counts ended attempts. Tokens and cost are as the providers reported them, for broken and cancelled responses, too.
type AttemptsStatus struct {
	Answered     uint64  `json:"answered"`  // completely
	Refused      uint64  `json:"refused"`   // for the request's own fault
	Failed       uint64  `json:"failed"`    // another backend may have responded
	Cancelled    uint64  `json:"cancelled"` // by clients that disconnected
	InputTokens  uint64  `json:"input_tokens"`
	OutputTokens uint64  `json:"output_tokens"`
	Cost         float64 `json:"cost"` // by cost_input and cost_output
}

// A StrategyStatus is one loaded strategy.
type StrategyStatus struct {
	Name      string       `json:"name"`
	SHA256    string       `json:"sha256"`
	Stateful  bool         `json:"stateful"`
	State     string       `json:"state"`            // healthy or quarantined
	Reason    string       `json:"reason,omitempty"` // of the state
	Faults    uint64       `json:"faults"`
	LastFault *FaultStatus `json:"last_fault,omitempty"`
	Fuel      FuelStatus   `json:"fuel"`
	MemoryMB  int          `json:"memory_mb"` // per instance
}

// A FaultStatus is a fault of a strategy.
type FaultStatus struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // fuel, trap, exit, index, buffer or instance
	Error  string    `json:"error"`
}

// A FuelStatus is a strategy's use of fuel.
type FuelStatus struct {
	Limit int64  `json:"limit"` // of a call
	Picks uint64 `json:"picks"`
	P50   int64  `json:"p50"` // of picks, precise to an eighth
	P90   int64  `json:"p90"`
	P99   int64  `json:"p99"`
	Most  int64  `json:"most"`
}

// A UserStatus is one user.
type UserStatus struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	core.Totals
}

// Status returns the gateway's status at now.
func (g *Gateway) Status(now time.Time) Status {
	s := g.Acquire()
	defer s.Release()
	out := Status{
		Config:     ConfigStatus{s.Digest, s.Built, now.Sub(s.Built).Seconds(), g.alive.Load() - 1},
		LastReload: *g.last.Load(),
	}
	for _, p := range s.providers {
		state, reason := p.live.State(now)
		out.Providers = append(out.Providers, ProviderStatus{p.live.ID, p.config.Type, state.String(), reason, p.live.InFlight(), p.config.MaxInFlight})
	}
	out.Upstreams, out.Models = models(s, now)
	for _, name := range slices.Sorted(maps.Keys(s.strategies)) {
		out.Strategies = append(out.Strategies, strategyStatus(s.strategies[name], now))
	}
	for _, u := range s.users {
		out.Users = append(out.Users, UserStatus{u.ID, u.Name, u.Enabled, u.Counters.Totals()})
	}
	return out
}

// models returns the upstreams, sorted by provider and name, and the models.
func models(s *Snapshot, now time.Time) ([]UpstreamStatus, []ModelStatus) {
	var models []ModelStatus
	upstreams := map[*upstream.Upstream]*UpstreamStatus{}
	for _, m := range s.Catalog.Models() {
		ms := ModelStatus{Name: m.Name, Strategy: m.Strategy.Name, Requests: m.Seq.Load(), Backends: []BackendStatus{}}
		for _, b := range m.Backends {
			us := upstreams[b.Upstream]
			if us == nil {
				us = upstreamStatus(b.Upstream, now)
				upstreams[b.Upstream] = us
			}
			us.Models = append(us.Models, m.Name)
			ms.Backends = append(ms.Backends, BackendStatus{us.LiveStatus, AttemptsStatus(b.Counter.Counts())})
		}
		models = append(models, ms)
	}
	all := []UpstreamStatus{}
	for _, us := range upstreams {
		all = append(all, *us)
	}
	slices.SortFunc(all, func(a, b UpstreamStatus) int {
		return cmp.Or(strings.Compare(a.Provider, b.Provider), strings.Compare(a.Model, b.Model))
	})
	return all, models
}

func upstreamStatus(u *upstream.Upstream, now time.Time) *UpstreamStatus {
	v := u.View(now)
	return &UpstreamStatus{
		LiveStatus: LiveStatus{
			Provider: u.Provider.ID, Model: u.Model, State: v.Status.String(), Reason: v.Explain(now), InFlight: v.InFlight,
			Samples: v.Averages.Samples, Success: v.Averages.Success(), LatencyMS: v.Averages.LatencyMS, TTFTMS: v.Averages.TTFTMS, Failures: v.Failures,
		},
		Attempts: AttemptsStatus(v.Counts),
	}
}

func strategyStatus(s *wasm.Strategy, now time.Time) StrategyStatus {
	standing, limits := s.Standing(now), s.Limits()
	out := StrategyStatus{
		Name: s.Name, SHA256: s.Digest, Stateful: s.Stateful, State: standing.State, Reason: standing.Why, Faults: standing.Faults,
		Fuel:     FuelStatus{limits.Fuel, limits.Spent.Picks, limits.Spent.P50, limits.Spent.P90, limits.Spent.P99, limits.Spent.Most},
		MemoryMB: limits.Memory >> 20,
	}
	if !standing.Last.IsZero() {
		out.LastFault = &FaultStatus{standing.Last, string(standing.Reason), standing.Error}
	}
	return out
}
