package main

import (
	"time"

	"github.com/spf13/cobra"

	"firth/internal/app"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure this machine with Firth on it",
		Example: "  firth bench ingest",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchIngestCommand(), benchRoleCommand())
	return cmd
}

func benchIngestCommand() *cobra.Command {
	var o app.BenchOptions
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Events a second and latency, beside a bare server that parses nothing",
		Long: `Starts a server of its own on a temporary folder, loads it with events of 1 KB from a process apart, does the same to a bare server
(reads the body, appends it to a file, syncs, answers) in the same run, and prints both with their ratio: the figure that holds from machine to machine.`,
		Example: "  firth bench ingest\n  firth bench ingest --duration 20s --rounds 3 -o json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.BenchIngest(cmd.Context(), o)
		},
	}
	cmd.Flags().DurationVar(&o.Duration, "duration", 5*time.Second, "measured time of each run")
	cmd.Flags().IntVar(&o.Rounds, "rounds", 2, "runs of either server for each row")
	cmd.Flags().IntVar(&o.Connections, "connections", 64, "connections of the load generator")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "where the temporary data is kept (default: the system's folder for temporary files)")
	cmd.Flags().StringSliceVar(&o.Only, "only", nil, "only these rows: 1, 20, 100 or paced")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "table", "table or json")
	return cmd
}

// benchRoleCommand is how the benchmark runs parts of itself as processes apart.
func benchRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "role NAME",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return app.BenchRole(cmd.Context(), a[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
