package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func demoCommand() *cobra.Command {
	var o app.DemoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it run: a month of a SaaS company's events, three questions answered",
		Long: `Starts a server on throw-away data, sends it a month of a SaaS company's calls through the real tracking API, fills a small company
database, and prints three answers with the SQL beside them. Then it stays up for your own questions until Ctrl-C.`,
		Example: "  firth demo\n  firth demo --once\n  firth demo --data ./demo-data --listen 127.0.0.1:9090",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Pinned = cmd.Flags().Changed("listen")
			o.Version, o.Stdout, o.Stderr = version, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Demo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", "", "keep the data in this folder (default: a temporary one that is removed)")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address to listen on")
	cmd.Flags().BoolVar(&o.Once, "once", false, "end after the answers")
	cmd.Flags().StringVar(&o.Profile, "cpuprofile", "", "write CPU profiles of both processes into this folder when they end")
	return cmd
}
