package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func queryCommand() *cobra.Command {
	var o app.QueryOptions
	cmd := &cobra.Command{
		Use:   `query "SQL"`,
		Short: "Ask one SQL question",
		Long: `Asks the server that runs on the data folder, or the one at --url; where none runs it opens the data folder itself.
A SQL of - is read from standard input.`,
		Example: `  firth query "SELECT event, count(*) FROM production.tracks GROUP BY ALL ORDER BY 2 DESC"
  firth query "FROM lake.production LIMIT 10" -f ndjson
  firth query "FROM production.users" -f parquet > users.parquet`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o.SQL, o.Stdin, o.Stdout, o.Stderr = a[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return app.Query(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.Format, "format", "f", "table", "table, csv, json, ndjson or parquet")
	cmd.Flags().StringVar(&o.URL, "url", "", "address of a server, for example http://127.0.0.1:8080 (user and password as http://USER:PASSWORD@HOST)")
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml where it exists)")
	return cmd
}
