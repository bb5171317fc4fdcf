// Package cli implements the berry command: serve, check, demo and version.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berrygate/berry/config"
)

// Main runs the command with the process's arguments and returns its exit status. SIGINT or SIGTERM ends a gateway gracefully; a second one
// ends the process at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "berry:", config.Explain(err))
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "berry",
		Short:         "An OpenAI-compatible gateway for LLM providers, with routing strategies in WebAssembly",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServeCommand(), newCheckCommand(), newDemoCommand(), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "berry", version()) },
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// configFlag adds --config and returns a function for the path: the flag, else CONFIG_PATH, else config.toml.
func configFlag(c *cobra.Command) func() string {
	flag := c.Flags().String("config", "", "path of the TOML config (default: $CONFIG_PATH, else config.toml)")
	return func() string { return cmp.Or(*flag, os.Getenv("CONFIG_PATH"), "config.toml") }
}
