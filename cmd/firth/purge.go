package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func lakePurgeCommand() *cobra.Command {
	var o app.PurgeOptions
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Forget a person everywhere: journal, lake, warehouses and mirrors",
		Long: `Removes all rows of a person from the lake, its old files and metadata, the journal, and every warehouse and mirror, and prints a receipt.
Calls of that person which come later are not stored. It goes on after a crash or Ctrl-C by itself, where a server runs.
docs/purge.md says what goes, what stays, and why.`,
		Example: `  firth lake purge --user u_1234 --dry-run
  firth lake purge --user u_1234 --anonymous-id 507f191e810c19729de860ea
  firth lake purge --source production --where "event = 'Imported By Mistake'" --no-suppress
  firth lake purge --list
  firth lake purge --receipt 20260131-120000-1a2b3c4d -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.GraceSet = cmd.Flags().Changed("grace")
			return app.Purge(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Users, "user", nil, "user id of the person (repeatable)")
	f.StringArrayVar(&o.Anonymous, "anonymous-id", nil, "anonymous id of the person (repeatable)")
	f.StringVar(&o.Where, "where", "", "rows that go too: an SQL condition on the columns of lake.SOURCE")
	f.BoolVar(&o.Mentions, "mentions", false, "remove rows of others that mention an id in their text")
	f.BoolVar(&o.NoSuppress, "no-suppress", false, "store calls of the person that come later")
	f.DurationVar(&o.Grace, "grace", 0, "how long old files stay for those who read them (default query.deadline)")
	f.BoolVar(&o.DryRun, "dry-run", false, "only count, by table and file")
	f.BoolVar(&o.List, "list", false, "list purges, and who is suppressed, by hash")
	f.StringVar(&o.Lift, "lift", "", "store calls again of the person with this hash")
	f.StringVar(&o.Receipt, "receipt", "", "show the receipt of a purge")
	return lakeFlags(cmd, &o.LakeOptions, true)
}
