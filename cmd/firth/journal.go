package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func journalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "journal",
		Short:   "Mend a damaged journal: what was accepted and is not yet in the lake",
		Example: "  firth journal salvage --dry-run",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(journalSalvageCommand())
	return cmd
}

func journalSalvageCommand() *cobra.Command {
	var o app.SalvageOptions
	cmd := &cobra.Command{
		Use:   "salvage",
		Short: "Make a damaged journal whole again, and name what is lost",
		Long: `Puts single flipped bits right, keeps every event that can still be read, and puts a note in the place of what is lost, which
becomes a row of firth.dead_letters. Damaged files are copied to names that end in .damaged. The server must be stopped.`,
		Example: "  firth journal salvage --dry-run\n  firth journal salvage",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.JournalSalvage(o)
		},
	}
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml where it exists)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only tell what would be done")
	return cmd
}
