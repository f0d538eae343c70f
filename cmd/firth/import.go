package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func importCommand() *cobra.Command {
	var o app.ImportOptions
	cmd := &cobra.Command{
		Use:   "import DIR|s3://BUCKET/PREFIX",
		Short: "Bring archives of Segment or RudderStack into the lake",
		Long: `Reads what an object storage destination of Segment or RudderStack wrote: files with a call a line, packed by gzip or zstd or not at all,
in folders of any depth, below a folder or at an S3-compatible store. Events keep their own times of receipt. Those that the lake has
already are skipped, by messageId; lines that are no events become dead letters that name file and line. Years of events take no more
memory than a day of them.

A running server does the work, with its own credentials for the store; where none runs the command does it itself. Ended anywhere, the
same command goes on where it was; when it was done it adds nothing. The typed tables follow by themselves.

--source is the source of the configuration that the events belong to. It is needed unless a folder of the archive bears its name.
--from and --to choose by time of receipt; a moment is 2026-01-31 (its beginning, in UTC), 2026-01-31T15:04:05Z, or how long ago
it was: 24h, 7d.`,
		Example: `  firth import ./segment-logs --source production
  firth import "s3://archive/segment-logs/abc?region=eu-central-1" --source production --dry-run
  firth import ./rudder-logs --source production --from 2024-01-01 --to 2025-01-01 -o json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o.Place, o.Stdout, o.Stderr = a[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Import(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Source, "source", "", "source that the events belong to")
	cmd.Flags().StringVar(&o.From, "from", "", "only what was received from this moment on")
	cmd.Flags().StringVar(&o.To, "to", "", "and before this one")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "count, and write nothing")
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml where it exists)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "text", "text or json")
	return cmd
}
