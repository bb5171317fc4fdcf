package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/telemetry"
	"github.com/berrygate/berry/plugins"
	"github.com/berrygate/berry/strategies"
)

// load reads a config and validates it against the provider types, plugins and strategies that exist.
func load(file string, environ []string) config.Loaded {
	return config.Load(file, environ, config.Registry{
		Types: provider.Types(), Stages: plugins.Names(), Optional: plugins.Optional(), Anywhere: plugins.Anywhere(),
		Strategies: strategies.Names(),
	})
}

// An observability is a process's log, traces and metrics. [telemetry] configures it while the process serves.
type observability struct {
	telemetry.Telemetry
	log   *slog.Logger
	level slog.LevelVar
}

// applyConfig applies [telemetry] of a config that the gateway now serves.
func (o *observability) applyConfig(c *config.Config) {
	o.level.Set(c.Telemetry.Level())
	o.Sample(sampling(c))
}

func sampling(c *config.Config) telemetry.Sampling {
	t := c.Telemetry
	ratio, set := t.Ratio()
	return telemetry.Sampling{Ratio: ratio, Set: set, KeepErrors: t.KeepErrors, KeepSlow: config.Seconds(t.KeepSlowSeconds)}
}

// newGateway builds the gateway of a config. The gateway calls reload when the config changes.
func newGateway(ctx context.Context, l config.Loaded, reload func() config.Loaded, o *observability) (*gateway.Gateway, error) {
	return gateway.New(ctx, l, gateway.Deps{
		Load: reload, Build: plugins.NewBuilder().Build, Builtin: strategies.Module, CacheDir: cacheDir(o.log),
		Log: o.log, Meter: o.Meter(), Tracer: o.Tracer(), Serving: o.applyConfig,
	})
}

// cacheDir returns the folder for compiled strategies; "" if this user has no cache folder.
func cacheDir(log *slog.Logger) string {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "berry")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		log.Warn("no cache folder for compiled strategies, so each start compiles them; set HOME or XDG_CACHE_HOME", "error", err)
		return ""
	}
	return dir
}
