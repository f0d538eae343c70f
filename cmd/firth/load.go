package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func loadCommand() *cobra.Command {
	var o app.LoadOptions
	cmd := &cobra.Command{
		Use:   "load WAREHOUSE",
		Short: "Load a warehouse now, load a span again, or make its tables anew",
		Long: `Loads what the lake has and the warehouse has not, now, and prints what came in. A running server does the work; where none runs the
command does it itself. The schedule of the warehouse goes on as before.

With --from or --to, events that were received in that span (--to is the first moment behind it) are loaded again: those that the
warehouse has are left as they are, those that are missing come back. A moment is 2026-01-31 (its beginning, in UTC),
2026-01-31T15:04:05Z, or how long ago it was: 24h, 7d.

With --rebuild, tables are made anew from every event of the lake, with the types that all of them ask for together, and take the place
of the old ones at once when they are ready. Readers see the old ones until then.

The exit code is 1 where not everything could be loaded; what was loaded stays.`,
		Example: `  firth load analytics
  firth load analytics --from 24h
  firth load analytics --from 2026-01-01 --to 2026-02-01 --source production --tables tracks,order_completed
  firth load analytics --rebuild --tables order_completed
  firth load local --rebuild --source production`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o.Warehouse, o.Stdout, o.Stderr = a[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Load(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.From, "from", "", "load again what was received from this moment on")
	cmd.Flags().StringVar(&o.To, "to", "", "and before this one (default now)")
	cmd.Flags().StringVar(&o.Source, "source", "", "only this source (default all)")
	cmd.Flags().StringSliceVar(&o.Tables, "tables", nil, "only these tables, with --from, --to or --rebuild (default all)")
	cmd.Flags().BoolVar(&o.Rebuild, "rebuild", false, "make the tables anew from every event of the lake")
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml where it exists)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "text", "text or json")
	return cmd
}
