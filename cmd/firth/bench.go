package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firth/internal/app"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine with Firth on it",
		Long: `Each benchmark works on throw-away folders and prints what was measured, what it is compared with in the same run, and what is wanted.
It ends with 0 where a figure is not what is wanted, and with 1 where rows were lost, doubled or changed.`,
		Example: "  firth bench ingest",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchIngestCommand(), benchFreshCommand(), benchSoakCommand(), benchLoadCommand(), benchMergeCommand(), benchImportCommand(), benchMirrorCommand(), benchQueryCommand(),
		benchRoleCommand())
	return cmd
}

// benchmark makes the command of one benchmark with the flags that all have.
func benchmark(cmd *cobra.Command, run func(context.Context, app.BenchOptions) error, flags func(*app.BenchOptions, *pflag.FlagSet)) *cobra.Command {
	var o app.BenchOptions
	cmd.Args = args(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return run(cmd.Context(), o)
	}
	flags(&o, cmd.Flags())
	cmd.Flags().StringVar(&o.Dir, "dir", "", "where the temporary data is kept (default: the system's folder for temporary files)")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "table", "table or json")
	return cmd
}

// servers adds the flags of benchmarks that put load on whole servers.
func servers(o *app.BenchOptions, f *pflag.FlagSet) {
	f.IntVar(&o.Connections, "connections", 64, "connections of the load generator")
	f.DurationVar(&o.Drain, "drain", 2*time.Minute, "how long to wait for all rows to arrive")
	f.StringVar(&o.Config, "config", "", "file with further lines of the servers' configuration, for example for lake.merge")
}

func benchIngestCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "ingest",
		Short: "Events a second and latency, beside a bare server that parses nothing",
		Long: `Starts a server of its own on a temporary folder, loads it with events of 1 KB from a process apart, does the same to a bare server
(reads the body, appends it to a file, syncs, answers) in the same run, and prints both with their ratio: the figure that holds from machine to machine.`,
		Example: "  firth bench ingest\n  firth bench ingest --duration 20s --rounds 3 -o json",
	}, app.BenchIngest, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.DurationVar(&o.Duration, "duration", 5*time.Second, "measured time of each run")
		f.IntVar(&o.Rounds, "rounds", 2, "runs of either server for each row")
		f.IntVar(&o.Connections, "connections", 64, "connections of the load generator")
		f.StringSliceVar(&o.Only, "only", nil, "only these rows: 1, 20, 100 or paced")
		f.StringVar(&o.Lake, "lake", "", "s3:// URL of an empty prefix: compare a lake there with one on local disk instead")
	})
}

func benchFreshCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "fresh",
		Short: "From the call to the row that SQL shows, under paced load",
		Long: `Puts paced load on a server, sends a marked call twenty times a second beside it, and asks by SQL all the while for the newest one that
is a row: in its typed table, and in the view of the lake. What is printed runs from the call to the end of the look that saw it.
With --into it also loads a Postgres every two seconds, and looks there.`,
		Example: "  firth bench fresh\n  firth bench fresh --rate 5000 --duration 2m\n  firth bench fresh --rate 500 --into postgres://me:secret@127.0.0.1/bench",
	}, app.BenchFresh, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntSliceVar(&o.Rates, "rate", []int{500, 5000}, "events a second, a run each")
		f.IntVar(&o.Batch, "batch", 0, "events a request (default: 1 up to 1,000 events a second, 20 beyond)")
		f.DurationVar(&o.Warmup, "warmup", 10*time.Second, "load before the probes begin")
		f.StringVar(&o.Into, "into", "", "URL of a Postgres database without anything of value")
		f.DurationVar(&o.Duration, "duration", 30*time.Second, "measured time of each run")
		servers(o, f)
	})
}

func benchSoakCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "soak",
		Short: "Paced load for long: does it keep up, and does memory stay flat",
		Long: `Puts 20,000 events a second on a server whose mergers run, watches both processes, the journal, the files and how far the tables are
behind, and counts every row at the end. With --backlog it measures the door instead while the answering half loads that many events which
had piled up, against the door before and after.`,
		Example: "  firth bench soak --duration 10m\n  firth bench soak --backlog 5000000 --drain 20m",
	}, app.BenchSoak, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntSliceVar(&o.Rates, "rate", nil, "events a second (default 20000, with --backlog 500)")
		f.IntVar(&o.Batch, "batch", 0, "events a request (default: 1 up to 1,000 events a second, 20 beyond)")
		f.IntVar(&o.Backlog, "backlog", 0, "events that pile up before the answering half starts")
		f.DurationVar(&o.Warmup, "warmup", 10*time.Second, "load before the measuring")
		f.DurationVar(&o.Duration, "duration", 2*time.Minute, "measured time; with --backlog at most 20s, three times")
		servers(o, f)
	})
}

func benchLoadCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "load",
		Short: "Loading into typed tables that hold much, and into empty ones; or into a Postgres, beside a bare COPY",
		Long: `Measures the embedded warehouse's loader on tables that hold many rows and on empty ones. With --into it loads a lake into a Postgres
instead, in schemas of its own that it leaves there, and copies the same rows by binary COPY alone in the same run.`,
		Example: "  firth bench load\n  firth bench load --rows 20000000 --drain 1h\n  firth bench load --into postgres://me:secret@127.0.0.1/bench --events 1000000",
	}, app.BenchLoad, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntVar(&o.Rows, "rows", 2_000_000, "rows in the tables before the measuring")
		f.IntVar(&o.Chunk, "chunk", 200_000, "rows that are loaded into either, each round")
		f.IntVar(&o.Rounds, "rounds", 2, "rounds of both, in turn")
		f.DurationVar(&o.Drain, "drain", 20*time.Minute, "how long one load may take")
		f.StringVar(&o.Into, "into", "", "URL of a Postgres database without anything of value")
		f.IntVar(&o.Events, "events", 1_000_000, "with --into: events of each round")
	})
}

func benchMirrorCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "mirror",
		Short: "Rows of databases into tables, beside bare pipes of the same rows",
		Long: `Copies a table of fifteen columns from a Postgres into itself, beside a COPY pipe, and into DuckDB; lists and gets hashes of a Redis, beside bare
pipelining; and copies documents that a program prints. It makes what it reads, in schemas and keys that begin with bench.`,
		Example: "  firth bench mirror --postgres postgres://me:secret@127.0.0.1/bench --redis redis://127.0.0.1/9\n  firth bench mirror --docs 10000000",
	}, app.BenchMirror, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.StringVar(&o.Postgres, "postgres", "", "URL of a Postgres database without anything of value")
		f.StringVar(&o.Redis, "redis", "", "URL of a Redis database without anything of value")
		f.IntVar(&o.Rows, "rows", 1_000_000, "rows of the table in Postgres")
		f.IntVar(&o.Keys, "keys", 500_000, "hashes in Redis")
		f.IntVar(&o.Docs, "docs", 0, "documents that a program prints; 0: none")
		f.IntVar(&o.Rounds, "rounds", 3, "rounds of each, in turn")
	})
}

func benchMergeCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "merge",
		Short: "Merging a day's flushes beside DuckDB's sort and write of them; planning and committing",
		Long: `Writes a day's events through the lake's own writer, lets DuckDB sort and write the files as one, and lets the lake's mergers merge them;
both in processes of their own, in turn. Then it makes a table of many commits and measures planning it and committing to it.`,
		Example: "  firth bench merge\n  firth bench merge --events 1000000 --flushes 100 --rounds 5 --commits 10000",
	}, app.BenchMerge, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntVar(&o.Events, "events", 500_000, "events of the day")
		f.IntVar(&o.Flushes, "flushes", 50, "files that they come in")
		f.IntVar(&o.Rounds, "rounds", 2, "rounds of both, in turn")
		f.IntVar(&o.Threads, "threads", 0, "threads of DuckDB (default: one a core)")
		f.IntVar(&o.Commits, "commits", 1_000, "commits, of a file each, of the table that is planned; 0: no planning")
	})
}

func benchImportCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "import",
		Short: "An archive of another collector into the lake, and its memory",
		Long: `Makes an archive as Segment's object storage destination writes them, imports it in a process of its own into an empty lake, and again,
and compares what the lake holds with what was written. It needs about 250 MB of disk for a million events.`,
		Example: "  firth bench import\n  firth bench import --events 10000000 --days 365",
	}, app.BenchImport, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntVar(&o.Events, "events", 1_000_000, "different events")
		f.IntVar(&o.Days, "days", 30, "days that they happened on")
		f.IntVar(&o.Twice, "twice", 50, "every so many an event is in the archive a second time; 0: never")
	})
}

func benchQueryCommand() *cobra.Command {
	return benchmark(&cobra.Command{
		Use:   "query",
		Short: "Questions to the lake before and after merging, to bare DuckDB, to the typed tables",
		Long: `Writes a month of events through the lake's own writer, loads the typed tables, and asks the same questions of the server and of DuckDB
alone on the same files: on the many files of the flushes, and again when they are merged. The answers are compared.`,
		Example: "  firth bench query\n  firth bench query --events 10000000 --drain 1h",
	}, app.BenchQuery, func(o *app.BenchOptions, f *pflag.FlagSet) {
		f.IntVar(&o.Events, "events", 1_000_000, "events of the month")
		f.IntVar(&o.Flushes, "flushes", 2_000, "flushes that they come in")
		f.IntVar(&o.Rounds, "rounds", 7, "times that each question is asked")
		f.StringVar(&o.Lake, "lake", "", "s3:// URL of an empty prefix: compare a lake there with one on local disk instead")
		f.DurationVar(&o.Drain, "drain", 20*time.Minute, "how long the load of the typed tables may take")
	})
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
