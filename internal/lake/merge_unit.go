package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/disk"
	"firth/internal/lake/rowfile"
)

// Notes in the summary of a merge's snapshot.
const (
	noteMerged     = "firth.merged"     // how many files became one
	noteDuplicates = "firth.duplicates" // rows left out whose message id another row has
)

// mergeWorkers is how many goroutines read and pack columns.
const mergeWorkers = 2

// inputsShare is the part of a merge's budget for the pages of its inputs: one of each, for every worker.
const inputsShare = 2

// errMergeSum says that a merge did not write what it read: nothing of it is committed.
var errMergeSum = errors.New("the merged file does not hold the rows of its inputs")

// merged is what one merge did.
type merged struct {
	filesIn           int
	rowsIn, rowsOut   int64
	bytesIn, bytesOut int64
	spilled           int64
}

// merge makes one file of those of the unit. It returns nil when the inputs changed meanwhile, or cannot be merged.
func (m *Merger) merge(ctx context.Context, u unit) (*merged, error) {
	if u.store.name == DeadLetters {
		return mergeFiles(ctx, m, u, m.l.dead)
	}
	return mergeFiles(ctx, m, u, m.l.calls)
}

func mergeFiles[T any](ctx context.Context, m *Merger, u unit, shape *rowfile.Table[T]) (*merged, error) {
	open, err := openInputs(m, u, shape)
	for err == nil && len(open.files) < len(u.files) && grows(u.files) && !grows(open.files) {
		// Not all fit: those that do would be one large file and a few rows more.
		u.files = slices.DeleteFunc(slices.Clone(u.files), func(f *File) bool { return f == largest(open.files) })
		if err = open.close(); err == nil {
			open, err = openInputs(m, u, shape)
		}
	}
	switch {
	case errors.Is(err, ErrFileGone):
		return nil, errors.Join(open.close(), m.gone(ctx, u, err))
	case errors.Is(err, ErrDamaged):
		m.exclude(u.files, err)
		return nil, errors.Join(err, open.close())
	case err != nil:
		return nil, errors.Join(err, open.close())
	}
	out, err := mergeInputs(ctx, m, u, shape, open)
	return out, errors.Join(err, open.close())
}

// inputs are the open files of a merge.
type inputs struct {
	files   []*File
	handles []disk.File
	of      []*rowfile.Input
}

func (in *inputs) close() (err error) {
	for _, h := range in.handles {
		err = errors.Join(err, h.Close())
	}
	return err
}

// gone looks after a file that is not there: the table may have changed since it was listed. A file that the table still names is
// left alone from now on.
func (m *Merger) gone(ctx context.Context, u unit, cause error) error {
	if err := u.store.reload(ctx); err != nil {
		return err
	}
	snap, err := u.store.snapshot()
	if err != nil {
		return err
	}
	missing := false
	for _, f := range snap.Files {
		if !slices.ContainsFunc(u.files, func(of *File) bool { return of.Path == f.Path }) {
			continue
		}
		if _, err := m.l.o.FS.Stat(f.Path); errors.Is(err, fs.ErrNotExist) {
			m.exclude([]*File{f}, cause)
			missing = true
		}
	}
	if missing {
		return cause
	}
	return nil
}

func largest(files []*File) *File {
	return slices.MaxFunc(files, func(a, b *File) int { return cmp.Compare(a.Bytes, b.Bytes) })
}

// shrink gives up the second half of the inputs.
func (in *inputs) shrink() (err error) {
	n := (len(in.files) + 1) / 2
	for _, h := range in.handles[n:] {
		err = errors.Join(err, h.Close())
	}
	in.files, in.handles, in.of = in.files[:n], in.handles[:n], in.of[:n]
	return err
}

// openInputs opens and verifies the files of a unit, as many of them as fit into memory: the others wait for another merge.
func openInputs[T any](m *Merger, u unit, shape *rowfile.Table[T]) (*inputs, error) {
	in := &inputs{}
	pages := int64(0)
	for _, f := range u.files {
		handle, err := m.l.verifier.open(f)
		if err != nil {
			return in, err
		}
		in.handles = append(in.handles, handle)
		input, err := rowfile.OpenInput(shape, handle, f.Bytes)
		if err == nil && input.Rows() != f.Rows {
			err = fmt.Errorf("it has %d rows, the manifest says %d", input.Rows(), f.Rows)
		}
		if err != nil {
			return in, damaged(f.Path, "%v", err)
		}
		if pages += input.Page() * mergeWorkers; pages > m.o.budget()/inputsShare && len(in.of) >= 2 {
			in.handles = in.handles[:len(in.of)]
			return in, handle.Close()
		}
		in.files, in.of = append(in.files, f), append(in.of, input)
	}
	return in, nil
}

func mergeInputs[T any](ctx context.Context, m *Merger, u unit, shape *rowfile.Table[T], in *inputs) (out *merged, err error) {
	k, err := readKeys(ctx, keysOf(u.store.name), in.of, m.o.budget()/(2*keysShare), mergeWorkers, m.thread)
	for errors.Is(err, errKeys) && len(in.files) > 2 {
		if err = in.shrink(); err == nil {
			k, err = readKeys(ctx, keysOf(u.store.name), in.of, m.o.budget()/(2*keysShare), mergeWorkers, m.thread)
		}
	}
	if errors.Is(err, errKeys) {
		m.exclude(in.files, err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out = &merged{filesIn: len(in.files), rowsIn: int64(len(k.ts))}
	from := uint64(math.MaxUint64)
	for _, f := range in.files {
		out.bytesIn += f.Bytes
		from = min(from, f.MinOffset)
	}
	order := k.order()
	out.rowsOut = int64(len(order))
	if err := m.l.o.step("merge write " + u.store.name); err != nil {
		return nil, err
	}
	file, err := u.store.newFile(u.day, from)
	if err != nil {
		return nil, err
	}
	described, err := writeMerged(ctx, m, shape, in.of, order, file, out)
	if err != nil {
		return nil, errors.Join(err, file.discard())
	}
	return m.commit(ctx, u, in.files, file, described, out)
}

// writeMerged writes the new file, reads it back and compares it with the inputs.
func writeMerged[T any](ctx context.Context, m *Merger, shape *rowfile.Table[T], in []*rowfile.Input, order []rowfile.Ref, file *newFile, out *merged) (iceberg.DataFile, error) {
	sums := rowfile.NewSums(shape)
	merge := rowfile.Merge[T]{
		Table: shape, Inputs: in, Order: order, Sums: sums,
		Memory: m.o.budget(), Temp: m.o.Temp, Workers: mergeWorkers, Worker: m.thread,
	}
	stats, want, cost, err := merge.Write(ctx, file)
	out.spilled = cost.Spilled
	if err != nil {
		return nil, err
	}
	described, err := file.finish(stats)
	if err != nil {
		return nil, err
	}
	out.bytesOut = described.FileSizeBytes()
	got, err := readBack(ctx, m, shape, sums, file.path, out.bytesOut)
	if err != nil {
		return nil, err
	}
	if got != want || got.Rows != out.rowsOut {
		return nil, fmt.Errorf("%w: %d rows with the sum %016x were read, %d with %016x written", errMergeSum, want.Rows, want.Hash, got.Rows, got.Hash)
	}
	return described, nil
}

func readBack[T any](ctx context.Context, m *Merger, shape *rowfile.Table[T], sums *rowfile.Sums, path string, size int64) (sum rowfile.Sum, err error) {
	handle, err := m.l.o.FS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return sum, fmt.Errorf("read back: %w", err)
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	in, err := rowfile.OpenInput(shape, handle, size)
	if err != nil {
		return sum, fmt.Errorf("read back %s: %w", path, err)
	}
	if sum, err = sums.Of(ctx, in, mergeWorkers, m.thread); err != nil {
		return sum, fmt.Errorf("read back %s: %w", path, err)
	}
	return sum, nil
}

// commit puts the new file in the place of the inputs. When that fails for certain, the file goes again.
func (m *Merger) commit(ctx context.Context, u unit, files []*File, file *newFile, described iceberg.DataFile, out *merged) (*merged, error) {
	ctx = context.WithoutCancel(ctx) // a commit of some milliseconds is not cut short
	sw := swap{op: table.OpReplace, remove: files, add: []iceberg.DataFile{described}, note: iceberg.Properties{noteMerged: strconv.Itoa(len(files))}}
	if duplicates := out.rowsIn - out.rowsOut; duplicates > 0 {
		// What incremental readers must not take for the same rows is an overwrite.
		sw.op, sw.note[noteDuplicates] = table.OpOverwrite, strconv.FormatInt(duplicates, 10)
	}
	err := u.store.swap(ctx, "merge", sw)
	if err == nil {
		file.release()
		return out, m.l.verifier.trust(file.path)
	}
	there, rerr := u.store.names(ctx, file.path)
	if rerr != nil {
		file.release() // nobody knows: the sweeper, who asks the table, decides
		return nil, errors.Join(err, rerr)
	}
	if there {
		file.release()
		return out, m.l.catalog.Confirm(ctx)
	}
	if errors.Is(err, errChanged) {
		return nil, file.discard()
	}
	return nil, errors.Join(err, file.discard())
}

// names reports, after a commit whose outcome is not known, whether the table has a file.
func (s *store) names(ctx context.Context, path string) (bool, error) {
	if err := s.reload(ctx); err != nil {
		return false, err
	}
	snap, err := s.snapshot()
	if err != nil {
		return false, err
	}
	for _, f := range snap.Files {
		if f.Path == path {
			return true, nil
		}
	}
	return false, nil
}
