package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/berrygate/berry/core/server"
	"github.com/berrygate/berry/internal/demo"
)

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Run a demo gateway in front of three fake providers", Args: cobra.NoArgs,
		Long: `Run a demo gateway in front of three fake providers, with a ready-made config.
It prints curl commands to try. Nothing leaves this machine.`,
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
