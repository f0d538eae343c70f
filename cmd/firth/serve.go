package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func serveCommand() *cobra.Command {
	var o app.ServeOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: collect, lake, warehouse, SQL",
		Long: `Runs the server until it gets SIGTERM or Ctrl-C; then it takes no more calls, writes what it has taken to the lake and the tables,
and ends with exit code 0. A 200 on a write route means that the events are on disk.`,
		Example: `  firth serve -c firth.yaml

  # firth.yaml
  sources:
    production: { write_key: env:FIRTH_WRITE_KEY }`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Version, o.Stdin, o.Stderr = version, cmd.InOrStdin(), cmd.ErrOrStderr()
			return app.Serve(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml; - reads standard input)")
	cmd.Flags().StringSliceVar(&o.Roles, "roles", nil, "run only these roles: collect,write or load,query (default all)")
	cmd.Flags().StringVar(&o.LogFormat, "log", "text", "log format: text or json")
	cmd.Flags().StringVar(&o.Profile, "cpuprofile", "", "write CPU profiles of both processes into this folder when they end")
	cmd.Flags().StringVar(&o.Base, "base", "", "folder of a configuration that is read from standard input")
	if err := cmd.Flags().MarkHidden("base"); err != nil {
		cmd.RunE = func(*cobra.Command, []string) error { return err }
	}
	return cmd
}
