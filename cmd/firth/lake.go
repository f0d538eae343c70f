package main

import (
	"context"

	"github.com/spf13/cobra"

	"firth/internal/app"
)

func lakeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lake",
		Short: "See and tend the lake: the raw events as Iceberg tables",
		Long: `The commands below work beside a running server, which does what changes the lake itself, and without one, when they do it
themselves. files, snapshots, snippet and verify only read.`,
		Example: "  firth lake files\n  firth lake merge\n  firth lake backup /backup/firth",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lakeFilesCommand(), lakeSnapshotsCommand(), lakeSnippetCommand(), lakeVerifyCommand(), lakeMergeCommand(), lakeExpireCommand(), lakeBackupCommand(), lakeRestoreCommand(), lakePurgeCommand())
	return cmd
}

// lakeFlags are the flags that all lake commands have; source is for those that can work on one table.
func lakeFlags(cmd *cobra.Command, o *app.LakeOptions, source bool) *cobra.Command {
	cmd.Flags().StringVarP(&o.Config, "config", "c", "", "configuration file (default firth.yaml where it exists)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "text", "text or json")
	if source {
		cmd.Flags().StringVar(&o.Source, "source", "", "only the table of this source (default all)")
	}
	return cmd
}

// lakeRun runs one of the commands with its outputs set.
func lakeRun(o *app.LakeOptions, run func(context.Context, app.LakeOptions) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, a []string) error {
		if len(a) > 0 {
			o.Dir = a[0]
		}
		o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return run(cmd.Context(), *o)
	}
}

func lakeWork(o *app.LakeOptions, job string) func(*cobra.Command, []string) error {
	return lakeRun(o, func(ctx context.Context, o app.LakeOptions) error { return app.LakeWork(ctx, job, o) })
}

func lakeFilesCommand() *cobra.Command {
	var o app.LakeOptions
	cmd := &cobra.Command{
		Use:     "files",
		Short:   "List the files of the lake by table and day, with totals",
		Example: "  firth lake files\n  firth lake files --source production --day 2026-01-31 -o json\n  firth lake files --from 2026-11-01T12:00:00Z --to 2026-11-02 -o json",
		Args:    args(cobra.NoArgs),
		RunE:    lakeRun(&o, app.LakeFiles),
	}
	cmd.Flags().StringVar(&o.Day, "day", "", "only this day, as 2006-01-02")
	spanFlags(cmd, &o)
	return lakeFlags(cmd, &o, true)
}

func lakeSnapshotsCommand() *cobra.Command {
	var o app.LakeOptions
	return lakeFlags(&cobra.Command{
		Use:     "snapshots",
		Short:   "List the snapshots of the lake's tables, newest first",
		Example: "  firth lake snapshots --source production",
		Args:    args(cobra.NoArgs),
		RunE:    lakeRun(&o, app.LakeSnapshots),
	}, &o, true)
}

func lakeVerifyCommand() *cobra.Command {
	var o app.LakeOptions
	return lakeFlags(&cobra.Command{
		Use:   "verify",
		Short: "Read every file of the lake and compare it with its checksums",
		Long:  "Reads every file of the present snapshots and names those that are damaged or missing; exit code 1 where there are any.",
		Example: `  firth lake verify
  firth lake verify --source production -o json`,
		Args: args(cobra.NoArgs),
		RunE: lakeRun(&o, app.LakeVerify),
	}, &o, true)
}

func lakeMergeCommand() *cobra.Command {
	var o app.LakeOptions
	cmd := &cobra.Command{
		Use:   "merge",
		Short: "Merge small files into larger ones now, until nothing is left to merge",
		Long: `The server merges by itself; this does it at once, for example before a backup or with merge: false in lake:. Every commit stands for
itself: Ctrl-C loses only the merge under way.`,
		Example: "  firth lake merge\n  firth lake merge --which small --source production",
		Args:    args(cobra.NoArgs),
		RunE:    lakeWork(&o, "merge"),
	}
	cmd.Flags().StringVar(&o.Which, "which", "all", "small (the newest files), large (the oldest) or all")
	return lakeFlags(cmd, &o, true)
}

func lakeExpireCommand() *cobra.Command {
	var o app.LakeOptions
	return lakeFlags(&cobra.Command{
		Use:   "expire",
		Short: "Drop what lake.keep says, old snapshots, and files that nothing names any more",
		Long: `The server does this by itself every minute. Files go when lake.grace has passed since the last snapshot that named them, so that nobody
who still reads them is disturbed.`,
		Example: "  firth lake expire",
		Args:    args(cobra.NoArgs),
		RunE:    lakeWork(&o, "expire"),
	}, &o, false)
}

func lakeBackupCommand() *cobra.Command {
	var o app.LakeOptions
	return lakeFlags(&cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the lake to a folder while it is written to",
		Long: `Everything acknowledged before the command began is in the backup. Called again with the same folder it copies only what is new.
The typed tables are not in it: they are made again from the lake.`,
		Example: "  firth lake backup /backup/firth",
		Args:    args(cobra.ExactArgs(1)),
		RunE:    lakeWork(&o, "backup"),
	}, &o, false)
}

func lakeRestoreCommand() *cobra.Command {
	var o app.LakeOptions
	return lakeFlags(&cobra.Command{
		Use:     "restore DIR",
		Short:   "Bring the events of a backup back into the lake, also while it is written to",
		Long:    `Events that the lake has already are not doubled. The typed tables follow by themselves.`,
		Example: "  firth lake restore /backup/firth",
		Args:    args(cobra.ExactArgs(1)),
		RunE:    lakeWork(&o, "restore"),
	}, &o, false)
}
