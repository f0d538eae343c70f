package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func syncCommand() *cobra.Command {
	var o app.SyncOptions
	cmd := &cobra.Command{
		Use:   "sync [MIRROR...]",
		Short: "Run mirrors once: copy what is configured from databases into tables",
		Long: `Runs mirrors once, all of them or those that are named, and prints what came of each. A running server does the work; where none runs
the command does it itself. Schedules go on as before.

A mirror that copies goes on where it stopped: what an interrupted run has staged is used, append and upsert read from their cursor on.
With --full nothing of earlier runs counts. With --dry-run everything is read and nothing is written. With --id one id of a mirror with
list and get is asked for again.

The exit code is 1 where a mirror failed or was done in part.`,
		Example: `  firth sync
  firth sync companyperson people
  firth sync people --full
  firth sync project_usage --id 5f0c9a
  firth sync -c /etc/firth.yaml -o json`,
		Args: args(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, a []string) error {
			o.Mirrors, o.Stdout, o.Stderr = a, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Sync(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Full, "full", false, "read everything anew: no cursor, nothing that is staged")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "read and report, and write nothing")
	cmd.Flags().StringArrayVar(&o.IDs, "id", nil, "ask for this id alone (may be repeated)")
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "text", "text or json")
	return cmd
}
