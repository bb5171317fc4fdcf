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
	"strings"
	"time"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/route"
	"github.com/berrygate/berry/core/upstream"
	"github.com/berrygate/berry/core/wasm"
)

// A Snapshot is everything built from one version of the config. It is immutable and safe for concurrent use.
type Snapshot struct {
	Config   *config.Config
	Catalog  *core.Catalog
	Pipeline *core.Pipeline // for requests to a model
	Listing  *core.Pipeline // for the list of models: auth alone

	users      []*core.User // in the order of their ids
	strategies map[string]*wasm.Strategy
}

// Visible tells whether the user sees the model in the list of models: whether a request for it would be allowed.
func (s *Snapshot) Visible(u *core.User, m *core.Model) bool {
	return !s.Pipeline.Has("permission") || u.May(m.Name)
}

// Servable returns how many of the models have a backend that can be tried at now.
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
	var errs []error
	for _, strategy := range s.strategies {
		errs = append(errs, strategy.Close(ctx))
	}
	return errors.Join(errs...)
}

// build makes the snapshot of c. If it fails, nothing is left of it.
func (g *Gateway) build(ctx context.Context, c *config.Config) (*Snapshot, error) {
	strategies, err := g.load(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Config: c, strategies: strategies}
	if err := g.assemble(s); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (g *Gateway) assemble(s *Snapshot) error {
	c := s.Config
	models, err := g.models(s)
	if err != nil {
		return err
	}
	byDigest := users(c)
	s.users = slices.SortedFunc(maps.Values(byDigest), func(a, b *core.User) int { return cmp.Compare(a.ID, b.ID) })
	s.Catalog = core.NewCatalog(models)
	s.Pipeline, err = g.parts.Build(c.Pipeline.Plugins, Env{
		Users: byDigest, Catalog: s.Catalog, SessionHeader: c.Server.SessionHeader, DebugHeaders: c.Server.DebugHeaders,
		Rules: route.Rules{
			MaxRetries: c.Settings.MaxRetries, SameBackendRetries: c.Settings.SameBackendRetries,
			RetryAfterWait: config.Seconds(c.Settings.RetryAfterWaitSeconds), Budget: config.Seconds(c.Settings.RequestTimeoutSeconds),
		},
		Health: upstream.Policy{
			FailureThreshold: c.Settings.FailureThreshold,
			Cooldown:         config.Seconds(c.Settings.CooldownSeconds), MaxCooldown: config.Seconds(c.Settings.MaxCooldownSeconds),
		},
		FirstToken: config.Seconds(c.Settings.FirstTokenTimeoutSeconds), StreamIdle: config.Seconds(c.Settings.StreamIdleTimeoutSeconds),
		Log: g.parts.Log, Meter: g.parts.Meter,
	})
	if err != nil {
		return err
	}
	s.Listing = s.Pipeline.Only("auth")
	return nil
}

func users(c *config.Config) map[[sha256.Size]byte]*core.User {
	users := make(map[[sha256.Size]byte]*core.User, len(c.Users))
	for id, u := range c.Users {
		users[u.Digest()] = &core.User{
			ID: id, Name: u.Name, Tags: strings.Join(u.Tags, ","), Enabled: u.Enabled, Allowed: u.AllowedModels,
		}
	}
	return users
}

// models makes the enabled models with their enabled backends. Upstreams come from the gateway, which knows their state.
func (g *Gateway) models(s *Snapshot) ([]*core.Model, error) {
	dialects := map[string]provider.Dialect{}
	for id, p := range s.Config.Providers {
		d, err := provider.New(p.Type, account(p))
		if err != nil {
			return nil, fmt.Errorf("gateway: providers.%s: %w", id, err)
		}
		dialects[id] = d
	}
	var models []*core.Model
	for _, cm := range s.Config.Models {
		if !cm.Enabled {
			continue
		}
		m := &core.Model{Name: cm.Name, Strategy: s.picker(cm.Strategy), Seq: g.upstreams.Sequence(cm.Name)}
		if name := fallback(s.Config, cm.Strategy); name != cm.Strategy {
			m.Fallback = s.picker(name)
		}
		for i := range cm.Backends {
			b := &cm.Backends[i]
			p := s.Config.Providers[b.Provider]
			if !b.Enabled || !p.Enabled {
				continue
			}
			live := g.upstreams.Provider(b.Provider)
			m.Backends = append(m.Backends, backend(b, g.upstreams.Upstream(live, b.Model), dialects[b.Provider], timeout(s.Config, p)))
		}
		models = append(models, m)
	}
	return models, nil
}

func (s *Snapshot) picker(name string) core.Picker {
	strategy := s.strategies[name]
	p := core.Picker{Name: name, Selector: strategy}
	if strategy.Stateful {
		p.Learner = strategy
	}
	return p
}

func account(p *config.Provider) provider.Account {
	a := provider.Account{BaseURL: p.BaseURL, Key: p.APIKey.Reveal(), Headers: http.Header{}}
	for name, value := range p.Headers {
		a.Headers.Set(name, value.Reveal())
	}
	return a
}

func timeout(c *config.Config, p *config.Provider) time.Duration {
	return config.Seconds(cmp.Or(p.TimeoutSeconds, c.Settings.RequestTimeoutSeconds))
}

func backend(b *config.Backend, u *upstream.Upstream, d provider.Dialect, timeout time.Duration) *core.Backend {
	quoted, err := json.Marshal(b.Model)
	if err != nil { // strings always marshal
		panic(err)
	}
	return &core.Backend{
		Upstream: u, Dialect: d, Quoted: string(quoted), Weight: b.Weight, Priority: b.Priority, Tags: strings.Join(b.Tags, ","),
		CostInput: b.CostInput, CostOutput: b.CostOutput, Timeout: timeout,
	}
}
