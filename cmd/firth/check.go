package main

import (
	"github.com/spf13/cobra"

	"firth/internal/app"
)

func checkCommand() *cobra.Command {
	var o app.CheckOptions
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Validate the configuration and say what is wrong and how to mend it",
		Example: "  firth check -c firth.yaml\n  firth check -o json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stdout = cmd.OutOrStdout()
			return app.Check(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml)")
	cmd.Flags().StringVar(&o.Setup, "setup", "", "print the statements that make the user of this warehouse, with no more rights than loading takes, and check nothing")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "text", "text or json")
	return cmd
}
