// Package parts does the parts of benchmarks that work on a lake or on the embedded engine directly: filling a lake through
// its own writer, merging, and bare DuckDB as a yardstick. Each runs in a process of its own, started by package bench.
package parts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"firth/internal/bench"
	"firth/internal/lake"
)

// ServeRole is bench.ServeRole with the roles of this package besides.
func ServeRole(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	d, e := json.NewDecoder(in), json.NewEncoder(out)
	switch role {
	case bench.RoleFill:
		return once(ctx, d, e, fill)
	case bench.RoleMerge:
		return once(ctx, d, e, merge)
	case bench.RoleCopy:
		return once(ctx, d, e, copySorted)
	case bench.RolePlan:
		return once(ctx, d, e, plan)
	case bench.RoleInto:
		return once(ctx, d, e, into)
	case bench.RolePipe:
		return once(ctx, d, e, pipe)
	case bench.RoleMirrorFill:
		return once(ctx, d, e, mirrorFill)
	case bench.RoleMirrorPipe:
		return once(ctx, d, e, mirrorPipe)
	case bench.RoleMirror:
		return once(ctx, d, e, mirrorRun)
	case bench.RoleMirrorDocs:
		return printDocs(out)
	case bench.RoleArchive:
		return once(ctx, d, e, makeArchive)
	case bench.RoleImport:
		return once(ctx, d, e, importArchive)
	case bench.RoleAsk:
		return ask(ctx, d, e)
	}
	return bench.ServeRole(ctx, role, in, out)
}

// once reads a job, does it and writes the result.
func once[J, R any](ctx context.Context, in *json.Decoder, out *json.Encoder, do func(context.Context, J) (R, error)) error {
	var job J
	if err := in.Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	result, err := do(ctx, job)
	if err != nil {
		return err
	}
	return out.Encode(result)
}

// lakeOptions are those of the lake in a server's data folder.
func lakeOptions(data string) lake.Options {
	return lake.Options{
		Catalog: catalogPath(data), Dir: filepath.Join(data, "lake"), Window: filepath.Join(data, "window"), Drain: 24 * time.Hour,
	}
}

func catalogPath(data string) string { return filepath.Join(data, "catalog.db") }

// cpuTime is what this process has used, all threads together; 0 when the system does not tell.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the largest resident set of this process in bytes, 0 when the system does not tell.
func peak() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}

// snapshot is the present state of a table, by a reader that is closed again.
func snapshot(ctx context.Context, data, source string) (*lake.Snapshot, error) {
	r, err := lake.OpenReader(ctx, catalogPath(data))
	if err != nil {
		return nil, err
	}
	snap, err := r.Snapshot(ctx, source)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return snap, err
}
