package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func lakeSnippetCommand() *cobra.Command {
	var o app.LakeOptions
	cmd := &cobra.Command{
		Use:   "snippet",
		Short: "Print SQL for DuckDB, and Python, that read the lake's files with nothing of Firth",
		Long: `What is printed makes a view of the events, named as their source, in a DuckDB or a notebook of your own. It names the files of the
present snapshot; with --catalog it attaches the server's catalog instead, and reads the tables as they are whenever it is run.`,
		Example: `  firth lake snippet --source production --from 2026-11-01 --to 2026-11-08
  firth lake snippet --source production --in python > snippet.py
  firth lake snippet --source production --catalog https://firth.example.com/iceberg`,
		Args: args(cobra.NoArgs),
		RunE: lakeRun(&o, app.LakeSnippet),
	}
	spanFlags(cmd, &o)
	cmd.Flags().StringVar(&o.Language, "in", "", "sql or python (default both)")
	cmd.Flags().StringVar(&o.CatalogURL, "catalog", "", "the URL of the server's catalog, to read by it in the place of the files")
	return lakeFlags(cmd, &o, true)
}

// spanFlags are the flags for a span of times of receipt.
func spanFlags(cmd *cobra.Command, o *app.LakeOptions) {
	cmd.Flags().StringVar(&o.From, "from", "", "only what may hold events received at this time or later: 2026-01-31, 2026-01-31T15:04:05Z, or how long ago: 24h, 7d")
	cmd.Flags().StringVar(&o.To, "to", "", "only what may hold events received before this time")
}
