package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core/gateway"
	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/core/telemetry"
)

func newServeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Run the gateway until SIGINT or SIGTERM", Args: cobra.NoArgs,
		Long: `Run the gateway until SIGINT or SIGTERM.

On either signal the gateway stops accepting requests and gives those in flight
[server] shutdown_grace_seconds to finish. It then aborts the remaining ones.

The gateway reloads the config when the config file, or a file that it names,
changes; on SIGHUP; and on POST /admin/reload. A config with errors changes
nothing: the gateway logs the errors and continues with the current config.`,
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return serve(c.Context(), file(), os.Environ(), c.ErrOrStderr(), nil)
	}
	return c
}

// serve runs a gateway until ctx is done. It calls onListen, if that is not nil, when clients can connect.
func serve(ctx context.Context, file string, environ []string, w io.Writer, onListen func(*server.Server) error) error {
	hangup := make(chan os.Signal, 1) // from here on SIGHUP does not end the process
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	o := &observability{}
	o.log = telemetry.NewLogger(w, &o.level)
	limitMemory(o.log)
	reload := func() config.Loaded { return load(file, environ) }
	l := reload()
	for _, warning := range l.Warnings {
		o.log.Warn("config", "file", file, "warning", warning.String())
	}
	if l.Err != nil {
		return l.Err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.log.Warn("telemetry", "error", err) })) // OpenTelemetry would print it unstructured
	if err := o.Start(ctx, telemetry.Options{Service: l.Config.Telemetry.ServiceName, Version: version(), Sampling: sampling(l.Config), Log: o.log}); err != nil {
		return err
	}
	defer o.Close(context.WithoutCancel(ctx))
	g, err := newGateway(ctx, l, reload, o)
	if err != nil {
		return err
	}
	err = listenAndServe(ctx, g, o, file, hangup, onListen)
	return errors.Join(err, g.Close(context.WithoutCancel(ctx)))
}

// listenAndServe serves the gateway until ctx is done or a listener fails.
func listenAndServe(ctx context.Context, g *gateway.Gateway, o *observability, file string, hangup <-chan os.Signal, onListen func(*server.Server) error) error {
	s, err := server.Listen(ctx, g, server.Options{Version: version(), Metrics: o.Handler(), Tracer: o.Tracer(), Log: o.log})
	if err != nil {
		return err
	}
	o.log.Info("listening", "version", version(), "address", s.Addr(), "admin", s.AdminAddr(), "config", file)
	if onListen != nil {
		if err := onListen(s); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reloads sync.WaitGroup
	defer reloads.Wait()
	reloads.Go(func() { g.Run(ctx, hangup) })
	err = s.Serve(ctx)
	cancel()
	return err
}

// limitMemory sets the garbage collector's memory limit to nine tenths of the container's, unless GOMEMLIMIT is set.
func limitMemory(log *slog.Logger) {
	if _, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.FromCgroup)); err != nil {
		log.Debug("the container has no memory limit", "error", err)
	}
}
