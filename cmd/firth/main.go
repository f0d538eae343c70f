// Command firth takes product events and operational databases and makes them one place that answers SQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"firth/internal/app"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	redis.SetLogger(silent{})    // what goes wrong with a connection is in the error of who wanted it
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(report(err, os.Stderr))
}

// silent drops what a driver would print by itself.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// report prints an error for a person and returns the exit code: 0 done, 1 failed, 2 wrong usage.
func report(err error, w io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(w, "firth: "+err.Error())
	if hint := app.Hint(err); hint != "" {
		fmt.Fprintln(w, "  → "+hint)
	}
	var usage *usageError
	if errors.As(err, &usage) || app.IsUsage(err) {
		return 2
	}
	return 1
}

// usageError is a command line that cannot be understood; use is how the command is written, where it is known which one was meant.
type usageError struct {
	err error
	use string
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }
func (u *usageError) Hint() string {
	if u.use != "" {
		return "write " + u.use
	}
	return "firth --help lists the commands, firth COMMAND --help explains one"
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "firth",
		Short: "Product events and operational databases as one place that answers SQL",
		Long: `Firth takes product events (the Segment API) and makes them one place that answers SQL, within seconds, exactly.

  firth demo             see it run on throw-away data
  firth serve            run it
  firth query "SELECT 1" ask it`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{err: fmt.Errorf("there is no command %q", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err: err} })
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(demoCommand(), serveCommand(), queryCommand(), checkCommand(), benchCommand(), loadCommand(), syncCommand(), inferCommand(), lakeCommand(), importCommand(), journalCommand(), versionCommand())
	return cmd
}

// args wraps an argument check so that its failure counts as wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		err := check(cmd, a)
		switch {
		case err == nil:
			return nil
		case cmd.HasSubCommands() && len(a) > 0:
			return &usageError{err: fmt.Errorf("there is no command %q", cmd.CommandPath()+" "+a[0])}
		case len(a) == 0:
			err = errors.New("something is missing")
		default:
			err = fmt.Errorf("%q is too much, or stands in the wrong place", a[len(a)-1])
		}
		return &usageError{err: fmt.Errorf("%s: %w", strings.TrimPrefix(cmd.CommandPath(), "firth "), err), use: cmd.UseLine()}
	}
}
