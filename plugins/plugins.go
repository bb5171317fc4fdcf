// Package plugins lists the pipeline's stages.
package plugins

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/plugins/auth"
	"github.com/berrygate/berry/plugins/metrics"
	"github.com/berrygate/berry/plugins/permission"
	"github.com/berrygate/berry/plugins/relay"
	"github.com/berrygate/berry/plugins/selector"
)

// Names returns the stages in their default order.
func Names() []string { return []string{"auth", "permission", "select", "relay", "metrics"} }

// Optional returns the stages that a pipeline may leave out, with a warning.
func Optional() []string { return []string{"auth", "permission"} }

// Anywhere returns the stages that may stand anywhere in a pipeline.
func Anywhere() []string { return []string{"metrics"} }

// A Builder builds the pipelines of one gateway, one config after the other. It holds the stages' state that survives reloads.
type Builder struct {
	failures    *auth.Failures
	budget      *relay.Budget        // nil before the first relay
	instruments *metrics.Instruments // nil before the first metrics
}

// NewBuilder returns a builder without state.
func NewBuilder() *Builder { return &Builder{failures: &auth.Failures{}} }

// Build builds a pipeline of the named stages, in this order.
func (b *Builder) Build(names []string, env gateway.StageDeps) (*core.Pipeline, error) {
	var stages []core.Stage
	var errs []error
	for _, name := range names {
		p, err := b.build(name, env)
		if err != nil {
			errs = append(errs, fmt.Errorf("plugins: %s: %w", name, err))
		}
		stages = append(stages, core.Stage{Name: name, Plugin: p})
	}
	return core.NewPipeline(stages...), errors.Join(errs...)
}

func (b *Builder) build(name string, env gateway.StageDeps) (core.Plugin, error) {
	c := env.Config
	switch name {
	case "auth":
		return auth.New(env.Users, auth.Options{MaxFailuresPerMinute: c.Auth.MaxFailuresPerMinute, TrustedProxies: c.Auth.Proxies}, b.failures, env.Log)
	case "permission":
		return permission.New(env.Catalog), nil
	case "select":
		return selector.New(env.Catalog, selector.Options{
			SessionHeader: c.Server.SessionHeader, Total: config.Seconds(c.Settings.TotalTimeoutSeconds),
		}), nil
	case "relay":
		return relay.New(relay.Options{
			Rules: env.Rules, Health: env.Health, DebugHeaders: c.Server.DebugHeaders,
			FirstToken: config.Seconds(c.Settings.FirstTokenTimeoutSeconds), StreamIdle: config.Seconds(c.Settings.StreamIdleTimeoutSeconds),
			SocketIdle: config.Seconds(c.Settings.RealtimeIdleTimeoutSeconds), MaxEvent: c.Server.MaxEventBytes,
			KeepAlive: config.Seconds(c.Settings.KeepAliveSeconds), CaptureBytes: c.Telemetry.Captured(), Budget: b.translations(c),
		}, env.Log), nil
	case "metrics":
		return b.metrics(env)
	}
	return nil, errors.New("no such stage")
}

// translations returns the budget of translations. It survives reloads that do not change its size.
func (b *Builder) translations(c *config.Config) *relay.Budget {
	size := c.Server.MaxTranslationBytes
	if size == 0 {
		size = 1 << 30
		if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 { // -1 reads it
			size = max(limit/4, 1)
		}
	}
	if b.budget == nil || b.budget.Size() != size {
		b.budget = relay.NewBudget(size)
	}
	return b.budget
}

func (b *Builder) metrics(env gateway.StageDeps) (core.Plugin, error) {
	if b.instruments == nil {
		i, err := metrics.NewInstruments(env.Meter)
		if err != nil {
			return nil, err
		}
		b.instruments = i
	}
	return metrics.New(b.instruments, env.Log), nil
}
