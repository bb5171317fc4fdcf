// Berry is an OpenAI-compatible gateway for LLM providers, whose routing is WebAssembly.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/provider"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/core/telemetry"
	"github.com/berrygate/berry/examples/demo"
	"github.com/berrygate/berry/plugins"
	"github.com/berrygate/berry/strategies"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "berry:", config.Explain(err))
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "berry",
		Short:         "An OpenAI-compatible gateway for LLM providers, whose routing is WebAssembly",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serveCommand(), checkCommand(), demoCommand(), versionCommand())
	return root
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Serve the config until SIGINT or SIGTERM", Args: cobra.NoArgs,
		Long: "Serve the config until SIGINT or SIGTERM. Then nobody new is let in, and answers under way have\n[server] shutdown_grace_seconds to end; what is left then ends with an error.\n\nWhen the config or a file that it names changes, it is loaded again; SIGHUP and POST /admin/reload ask for that, too.",
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return serve(c.Context(), file(), os.Environ(), c.ErrOrStderr(), nil)
	}
	return c
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check [FILE]", Short: "Do everything that serve does short of listening", Args: cobra.MaximumNArgs(1),
		Long: "Do everything that serve does short of listening: read the config, load its strategies and let each pick\nonce. Every error and warning is printed with its line, in which whatever may be secret is hidden; the exit\nstatus is 1 if there are errors. An address that is taken is a warning, since this gateway may be serving there.",
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, arguments []string) error {
		if len(arguments) > 0 {
			if c.Flags().Changed("config") {
				return errors.New("check takes one file: as FILE or by --config, not both")
			}
			return check(c, arguments[0])
		}
		return check(c, file())
	}
	return c
}

// check prints what is to be said about the file.
func check(c *cobra.Command, file string) error {
	ctx, out := c.Context(), c.OutOrStdout()
	l := load(file, os.Environ())
	if l.Err == nil {
		l.Warnings = append(l.Warnings, l.Config.Taken(ctx)...)
	}
	for _, w := range l.Warnings {
		fmt.Fprintln(out, "warning:", w.Picture())
	}
	if l.Err != nil {
		return l.Err
	}
	g, err := build(ctx, l, nil, &seen{log: telemetry.NewLogger(c.ErrOrStderr(), slog.LevelWarn)})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: ok, with %s\n", file, l.Config.Summary())
	return g.Close(ctx)
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Serve three fake providers of its own, to play with", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := demo.Start(c.Context())
			if err != nil {
				return err
			}
			err = serve(c.Context(), d.ConfigFile, append(os.Environ(), d.Environ...), c.ErrOrStderr(), func(s *server.Server) error {
				return d.Banner(c.OutOrStdout(), s.Addr(), s.AdminAddr())
			})
			return errors.Join(err, d.Close())
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "berry", version()) },
	}
}

// configFlag adds --config and returns what names the file: the flag, else CONFIG_PATH, else config.toml.
func configFlag(c *cobra.Command) func() string {
	flag := c.Flags().String("config", "", "the TOML file (default: $CONFIG_PATH, else config.toml)")
	return func() string { return cmp.Or(*flag, os.Getenv("CONFIG_PATH"), "config.toml") }
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// load reads a config with the names that the other packages define.
func load(file string, environ []string) config.Loaded {
	return config.Load(file, environ, config.Known{
		Types: provider.Types(), Stages: plugins.Names(), Optional: plugins.Optional(), Anywhere: plugins.Anywhere(),
		Strategies: strategies.Names(),
	})
}

// seen is what the operator sees of a process. What stands in [telemetry] changes it while it serves.
type seen struct {
	telemetry.Telemetry
	log   *slog.Logger
	level slog.LevelVar
}

// follow is told of each config that is served.
func (s *seen) follow(c *config.Config) {
	s.level.Set(c.Telemetry.Level())
	s.Sample(sampling(c))
}

func sampling(c *config.Config) telemetry.Sampling {
	t := c.Telemetry
	ratio, set := t.Ratio()
	return telemetry.Sampling{Ratio: ratio, Set: set, KeepErrors: t.KeepErrors, KeepSlow: config.Seconds(t.KeepSlowSeconds)}
}

// build makes the gateway of what was loaded, which loads again when that changes.
func build(ctx context.Context, l config.Loaded, again func() config.Loaded, s *seen) (*gateway.Gateway, error) {
	return gateway.New(ctx, l, gateway.Parts{
		Load: again, Build: plugins.NewBuilder().Build, Builtin: strategies.Module, CacheDir: cacheDir(s.log),
		Log: s.log, Meter: s.Meter(), Tracer: s.Tracer(), Serving: s.follow,
	})
}

// cacheDir returns the folder of compiled strategies, or "" if this user can have none: then each start compiles anew.
func cacheDir(log *slog.Logger) string {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "berry")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		log.Warn("no folder to keep compiled strategies in; set HOME or XDG_CACHE_HOME to start faster", "error", err)
		return ""
	}
	return dir
}

// limitMemory has the garbage collector keep within nine tenths of the container's memory, unless GOMEMLIMIT says otherwise.
func limitMemory(log *slog.Logger) {
	if _, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.FromCgroup)); err != nil {
		log.Debug("no memory limit of a container is known", "error", err)
	}
}

// serve runs a gateway until ctx is done. It calls listening, if that is not nil, when clients can connect.
func serve(ctx context.Context, file string, environ []string, w io.Writer, listening func(*server.Server) error) error {
	hangup := make(chan os.Signal, 1) // from here on SIGHUP ends nothing
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	seen := &seen{}
	log := telemetry.NewLogger(w, &seen.level)
	seen.log = log
	limitMemory(log)
	again := func() config.Loaded { return load(file, environ) }
	l := again()
	for _, warning := range l.Warnings {
		log.Warn("config", "file", file, "warning", warning.String())
	}
	if l.Err != nil {
		return l.Err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) })) // else it prints lines of its own
	if err := seen.Start(ctx, telemetry.Options{Service: l.Config.Telemetry.ServiceName, Version: version(), Sampling: sampling(l.Config), Log: log}); err != nil {
		return err
	}
	defer seen.Close(context.WithoutCancel(ctx))
	g, err := build(ctx, l, again, seen)
	if err != nil {
		return err
	}
	s, err := server.Listen(ctx, g, server.Options{Version: version(), Metrics: seen.Handler(), Tracer: seen.Tracer(), Log: log})
	if err == nil {
		log.Info("listening", "version", version(), "address", s.Addr(), "admin", s.AdminAddr(), "config", file)
		if listening != nil {
			err = listening(s)
		}
		if err == nil {
			err = run(ctx, g, s, hangup)
		}
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(err, g.Close(ctx))
}

// run serves, and keeps the gateway up to date, until ctx is done or a listener fails.
func run(ctx context.Context, g *gateway.Gateway, s *server.Server, hangup <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { g.Run(ctx, hangup) })
	err := s.Serve(ctx)
	cancel()
	return err
}
