package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func inferCommand() *cobra.Command {
	var o app.InferOptions
	cmd := &cobra.Command{
		Use:   "infer DATABASE COLLECTION",
		Short: "Say which columns documents would become, and how sure that is: nothing is loaded",
		Long: `Reads documents of a configured database, counts the types of every field, and prints the type that its column would get, how sure that
is, the values that would not fit, and the lines to paste where another type is meant. COLLECTION is that of MongoDB, or a template of
keys in Redis. For PostgreSQL, MySQL and SQLite it is a table, or a SELECT: the columns are printed with the types they would have.`,
		Example: `  firth infer app orders
  firth infer app orders --all -f json
  firth infer usage "project:{id}:usage"
  firth infer users public.people`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o.Database, o.Collection, o.Stdout, o.Stderr = a[0], a[1], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Infer(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.Format, "format", "f", "table", "table or json")
	cmd.Flags().IntVar(&o.Sample, "sample", 10_000, "how many documents are looked at")
	cmd.Flags().BoolVar(&o.All, "all", false, "look at all of them")
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml)")
	return cmd
}
