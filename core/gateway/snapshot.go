package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/provider/adapter"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/telemetry/spans"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/core/wasm"
)

// A Snapshot is everything built from one version of the config. It is immutable, and safe for concurrent use from Gateway.Acquire until
// Release.
type Snapshot struct {
	Config   *config.Config
	Digest   string // the config file's SHA-256
	Built    time.Time
	Catalog  *core.Catalog
	Pipeline *core.Pipeline // for requests to models
	Listing  *core.Pipeline // for the list of models: auth only

	gateway    *Gateway
	references atomic.Int64 // of exchanges and checks, and of the gateway while it is current
	users      []*core.User // sorted by id
	providers  []endpoint   // enabled, sorted by id
	strategies map[string]*wasm.Strategy
	lease      *upstream.Lease
}

// An endpoint is a provider with one config.
type endpoint struct {
	live    *upstream.Provider
	adapter adapter.Adapter
	config  *config.Provider
}

// acquire adds a reference, unless the snapshot is closed or about to be.
func (s *Snapshot) acquire() bool {
	for {
		n := s.references.Load()
		if n == 0 {
			return false
		}
		if s.references.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release removes the reference. The last one of a retired snapshot closes it.
func (s *Snapshot) Release() {
	if s.references.Add(-1) > 0 {
		return
	}
	go func() { // the exchange does not wait for it
		defer s.gateway.live.Done()
		defer s.gateway.alive.Add(-1)
		if err := s.close(context.Background()); err != nil {
			s.gateway.parts.Log.Error("a retired config did not close", "error", err)
		}
	}()
}

// Visible reports whether the user sees the model in the list of models: whether a request for it would be allowed.
func (s *Snapshot) Visible(u *core.User, m *core.Model) bool {
	return !s.Pipeline.Has("permission") || u.May(m.Name)
}

// Servable returns how many of the models have an available backend at now.
func (s *Snapshot) Servable(now time.Time) int {
	n := 0
	for _, m := range s.Catalog.Models() {
		if slices.ContainsFunc(m.Backends, func(b *core.Backend) bool { return route.Available(b, now) }) {
			n++
		}
	}
	return n
}

func (s *Snapshot) close(ctx context.Context) error {
	s.lease.End()
	return closeAll(ctx, s.strategies)
}

func closeAll(ctx context.Context, strategies map[string]*wasm.Strategy) error {
	var errs []error
	for _, s := range strategies {
		errs = append(errs, s.Close(ctx))
	}
	return errors.Join(errs...)
}

// build makes the snapshot of what was loaded, with one reference. If it fails, it leaves nothing open.
func (g *Gateway) build(ctx context.Context, l config.Loaded, of *spans.Trace) (*Snapshot, error) {
	strategies, err := g.load(ctx, l, of)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{
		Config: l.Config, Digest: l.Digest, Built: time.Now(), gateway: g, strategies: strategies, lease: g.upstreams.Lease(),
	}
	if err := g.assemble(s); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	s.references.Store(1)
	g.live.Add(1)
	g.alive.Add(1)
	return s, nil
}

func (g *Gateway) assemble(s *Snapshot) error {
	c := s.Config
	if err := s.open(); err != nil {
		return err
	}
	users, byDigest := g.users(c)
	s.users = users
	s.Catalog = core.NewCatalog(s.models(), s.accounts())
	var err error
	s.Pipeline, err = g.parts.Build(c.Pipeline.Plugins, StageDeps{
		Users: byDigest, Catalog: s.Catalog, Config: c,
		Rules: route.Rules{
			MaxRetries: c.Settings.MaxRetries, SameBackendRetries: c.Settings.SameBackendRetries,
			RetryAfterWait: config.Seconds(c.Settings.RetryAfterWaitSeconds), Budget: min(config.Seconds(c.Settings.RequestTimeoutSeconds), longestWait),
		},
		Health: policy(c), Log: g.parts.Log, Meter: g.parts.Meter,
	})
	if err != nil {
		return err
	}
	s.Listing = s.Pipeline.Only("auth")
	return nil
}

// longestWait is how long after an exchange's start failed backends are waited for. Clients retry themselves, and prefer an error to
// silence.
const longestWait = 30 * time.Second

// policy returns when backends, accounts and hosts are taken out of rotation.
func policy(c *config.Config) upstream.Policy {
	s := c.Settings
	return upstream.Policy{
		FailureThreshold: s.FailureThreshold, CheckFailures: s.HealthCheckFailures,
		Cooldown: config.Seconds(s.CooldownSeconds), MaxCooldown: config.Seconds(s.MaxCooldownSeconds),
		MaxRetryAfter: config.Seconds(s.MaxRetryAfterSeconds),
	}
}

// users returns the users, sorted by id, and by the digests of their tokens.
func (g *Gateway) users(c *config.Config) ([]*core.User, map[[sha256.Size]byte]*core.User) {
	var users []*core.User
	tallies := map[string]*core.UserCounters{}
	if now := g.current.Load(); now != nil {
		for _, u := range now.users {
			tallies[u.ID] = u.Counters
		}
	}
	byDigest := make(map[[sha256.Size]byte]*core.User, len(c.Users))
	for _, id := range slices.Sorted(maps.Keys(c.Users)) {
		cu := c.Users[id]
		tally := tallies[id]
		if tally == nil {
			tally = &core.UserCounters{}
		}
		u := &core.User{ID: id, Name: cu.Name, Tags: strings.Join(cu.Tags, ","), Enabled: cu.Enabled, Allowed: allowed(c, cu), FilesProvider: cu.FilesProvider, Counters: tally}
		users = append(users, u)
		for _, d := range cu.Digests() {
			byDigest[d] = u
		}
	}
	return users, byDigest
}

// allowed returns the names of the models that the user may use: the config's, and those that match its patterns. (Patterns without a match
// stay: an empty list would allow all.)
func allowed(c *config.Config, u *config.User) []string {
	names := slices.Clone(u.AllowedModels)
	for _, m := range c.Models {
		if slices.ContainsFunc(u.AllowedModels, func(pattern string) bool { return config.Matches(pattern, m.Name) }) {
			names = append(names, m.Name)
		}
	}
	return names
}

// open finds or makes the live state of the enabled providers.
func (s *Snapshot) open() error {
	for _, id := range slices.Sorted(maps.Keys(s.Config.Providers)) {
		p := s.Config.Providers[id]
		if !p.Enabled {
			continue
		}
		base, socket := p.Endpoint()
		d, err := provider.New(p.Type, provider.Config{BaseURL: base, Key: p.APIKey.Reveal(), Headers: headers(p), APIVersion: p.APIVersion})
		if err != nil {
			return fmt.Errorf("gateway: providers.%s: %w", id, err)
		}
		live, err := s.lease.Provider(id, upstream.Identity{Identity: identity(p), CA: p.CA, Idle: idleTimeout(p), Socket: socket})
		if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		s.providers = append(s.providers, endpoint{live, d, p})
	}
	return nil
}

// idleTimeout returns how long a provider's idle connections are kept: less than most servers do. (RATIONALE.md, "Why are connections kept
// for 4 or 50 seconds?")
func idleTimeout(p *config.Provider) time.Duration {
	base, _ := p.Endpoint()
	switch {
	case p.IdleTimeoutSeconds > 0:
		return config.Seconds(p.IdleTimeoutSeconds)
	case strings.HasPrefix(strings.ToLower(base), "http://"):
		return 4 * time.Second
	default:
		return 50 * time.Second
	}
}

// identity returns a digest of what requests to a provider depend on, and of whether it is checked. With another key or address it is
// another provider, with a health of its own.
func identity(p *config.Provider) [sha256.Size]byte {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d %s", len(s), s) }
	part(strconv.FormatBool(p.HealthCheck))
	part(idleTimeout(p).String())
	for _, s := range []string{p.Type, p.BaseURL, p.APIVersion, p.APIKey.Reveal(), string(p.CA)} {
		part(s)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		part(name)
		part(p.Headers[name].Reveal())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// models makes the enabled models with their enabled backends.
func (s *Snapshot) models() []*core.Model {
	endpoints := map[string]endpoint{}
	for _, e := range s.providers {
		endpoints[e.live.ID] = e
	}
	var models []*core.Model
	for _, cm := range s.Config.Models {
		if !cm.Enabled {
			continue
		}
		m := &core.Model{
			Name: cm.Name, Strategy: s.picker(cm.Strategy), Seq: s.lease.Sequence(cm.Name), RecoverStreams: cm.StreamRecovery == config.RecoveryRestart,
			OwnName: cm.ResponseModel == config.NameOfClient,
		}
		if cm.Shadow != "" {
			m.Shadow = s.picker(cm.Shadow)
		}
		if name := fallback(s.Config, cm.Strategy); name != cm.Strategy {
			m.Fallback = s.picker(name)
		}
		for i := range cm.Backends {
			b := &cm.Backends[i]
			if e, ok := endpoints[b.Provider]; ok && b.Enabled {
				backend := s.backend(b, e)
				backend.Counter = s.lease.Counter(cm.Name, backend.Upstream)
				m.Backends = append(m.Backends, backend)
			}
		}
		models = append(models, m)
	}
	return models
}

func (s *Snapshot) picker(name string) core.NamedSelector {
	strategy := s.strategies[name]
	p := core.NamedSelector{Name: name, SHA256: strategy.Digest, Selector: strategy}
	if strategy.Stateful {
		p.OutcomeObserver = strategy
	}
	return p
}

func headers(p *config.Provider) http.Header {
	h := http.Header{}
	for name, value := range p.Headers {
		h.Set(name, value.Reveal())
	}
	return h
}

func timeout(c *config.Config, p *config.Provider) time.Duration {
	return config.Seconds(cmp.Or(p.TimeoutSeconds, c.Settings.RequestTimeoutSeconds))
}

func (s *Snapshot) backend(b *config.Backend, e endpoint) *core.Backend {
	quoted, err := json.Marshal(b.Model)
	if err != nil { // strings always marshal
		panic(err)
	}
	return &core.Backend{
		Upstream: s.lease.Upstream(e.live, b.Model), Adapter: e.adapter, System: system(e.config.Type), ModelJSON: string(quoted),
		Weight: b.Weight, Priority: b.Priority, Tags: strings.Join(b.Tags, ","), CostInput: b.CostInput, CostOutput: b.CostOutput, ContextWindow: b.ContextWindow,
		Timeout: timeout(s.Config, e.config), MaxInFlight: e.config.MaxInFlight, Secrets: secrets(e.config),
		Stored: storedKey(s.Config, e.config),
	}
}
