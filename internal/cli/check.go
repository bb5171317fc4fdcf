package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/berrygate/berry/core/telemetry"
)

func newCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check [FILE]", Short: "Validate the config and test its strategies without serving", Args: cobra.MaximumNArgs(1),
		Long: `Validate the config and test its strategies without serving.

berry check reads the config, loads its strategies and runs each of them once.
It prints every error and warning with the line of the file, in which values
that may be secret are hidden. The exit status is 1 if there are errors.
An address in use is a warning only, because this gateway may be running.`,
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, arguments []string) error {
		if len(arguments) > 0 {
			if c.Flags().Changed("config") {
				return errors.New("check accepts one file: give FILE or --config, not both")
			}
			return check(c, arguments[0])
		}
		return check(c, file())
	}
	return c
}

// check prints the warnings about the file and a summary of what it contains.
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
	g, err := newGateway(ctx, l, nil, &observability{log: telemetry.NewLogger(c.ErrOrStderr(), slog.LevelWarn)})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: ok, with %s\n", file, l.Config.Summary())
	return g.Close(ctx)
}
