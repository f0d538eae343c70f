package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/rowfile"
)

// notePurged in the summary of a snapshot says how many rows a purge removed.
const notePurged = "firth.purged"

// purgeBatch is how many files are exchanged in one commit.
const purgeBatch = 16

// rewrite puts files without the rows that go in the places of files, some at a time. errChanged: a merge came first, and all that was not
// committed is to be searched again.
func (p *purge) rewrite(ctx context.Context, s *store, found []*hits) error {
	done := int64(0)
	for batch := range slices.Chunk(found, purgeBatch) {
		var foreign []string
		for _, h := range batch {
			foreign = append(foreign, h.foreign...)
		}
		if len(foreign) > 0 && p.o.Found != nil {
			if err := p.o.Found(s.name, foreign); err != nil {
				return err
			}
		}
		var err error
		tell := func() {
			done++
			p.tell(PurgeProgress{Step: "rewrite", Table: s.name, Done: done, Total: int64(len(found))})
		}
		if s.name == DeadLetters {
			err = rewriteBatch(ctx, p, s, p.l.dead, batch, tell)
		} else {
			err = rewriteBatch(ctx, p, s, p.l.calls, batch, tell)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rewriteBatch[T any](ctx context.Context, p *purge, s *store, shape *rowfile.Table[T], batch []*hits, tell func()) (err error) {
	var files []*newFile
	discard := func() {
		for _, f := range files {
			err = errors.Join(err, f.discard())
		}
	}
	sw := swap{op: table.OpOverwrite, bare: true}
	var did counted
	for _, h := range batch {
		gone := h.gone(p.o.Mentions)
		file, described, werr := rewriteFile(ctx, p, s, shape, h.file, gone)
		if errors.Is(werr, ErrFileGone) {
			werr = errChanged
		}
		if werr != nil {
			err = werr
			discard()
			return err
		}
		sw.remove = append(sw.remove, h.file)
		if file != nil {
			files = append(files, file)
			sw.add = append(sw.add, described)
			did.written++
		}
		did.hit++
		did.rows += int64(len(h.own))
		did.removed += int64(len(gone))
		if p.o.Mentions {
			did.mentions += int64(len(h.mentions))
		}
		tell()
	}
	sw.note = iceberg.Properties{notePurged: strconv.FormatInt(did.removed, 10)}
	before := did
	sw.set = func(present iceberg.Properties) iceberg.Properties {
		all, _ := parseCounted(present[purgeKey+p.o.ID]) // a value that cannot be read is found when it is reported
		all = counted{all.rows + before.rows, all.mentions + before.mentions, all.removed + before.removed, all.hit + before.hit, all.written + before.written}
		return iceberg.Properties{purgeKey + p.o.ID: all.String()}
	}
	return p.exchange(context.WithoutCancel(ctx), s, sw, files) // a commit of some milliseconds is not cut short
}

// exchange commits files in the places of others. When that fails for certain, the new ones go again.
func (p *purge) exchange(ctx context.Context, s *store, sw swap, files []*newFile) (err error) {
	serr := s.swap(ctx, "purge", sw)
	if serr == nil {
		for _, f := range files {
			f.release()
			err = errors.Join(err, p.l.verifier.trust(f.path))
		}
		return err
	}
	still, rerr := s.names(ctx, sw.remove[0].Path)
	switch {
	case rerr != nil: // nobody knows: the sweeper, who asks the table, decides
		for _, f := range files {
			f.release()
		}
		return errors.Join(serr, rerr)
	case !still && !errors.Is(serr, errChanged): // it took place, and may not be on disk
		for _, f := range files {
			f.release()
		}
		return p.l.catalog.Confirm(ctx)
	}
	for _, f := range files {
		serr = errors.Join(serr, f.discard())
	}
	return serr
}

// rewriteFile writes a file without some of its rows. It returns no file where none are left.
func rewriteFile[T any](ctx context.Context, p *purge, s *store, shape *rowfile.Table[T], f *File, gone []int64) (*newFile, iceberg.DataFile, error) {
	if int64(len(gone)) >= f.Rows {
		return nil, nil, nil
	}
	open, err := openInputs(p.m, unit{store: s, files: []*File{f}}, shape)
	if err != nil {
		return nil, nil, errors.Join(err, open.close())
	}
	file, described, err := cutFile(ctx, p.m, s, shape, f, open.handles[0], gone)
	if errors.Is(err, rowfile.ErrShape) {
		file, described, err = rewriteInput(ctx, p.m, s, shape, f, open, gone)
	}
	return file, described, errors.Join(err, open.close())
}

// cutFile is rewriteFile for files that were written with all columns: only the row groups are written anew that lose rows.
func cutFile[T any](ctx context.Context, m *Merger, s *store, shape *rowfile.Table[T], f *File, handle io.ReaderAt, gone []int64) (*newFile, iceberg.DataFile, error) {
	if err := m.l.o.step("purge write " + s.name); err != nil {
		return nil, nil, err
	}
	file, err := s.newFile(f.Day.Unix()/(24*60*60), f.MinOffset)
	if err != nil {
		return nil, nil, err
	}
	described, err := cutInto(ctx, m, shape, f, handle, gone, file)
	if err != nil {
		return nil, nil, errors.Join(err, file.discard())
	}
	return file, described, nil
}

func cutInto[T any](ctx context.Context, m *Merger, shape *rowfile.Table[T], f *File, handle io.ReaderAt, gone []int64, file *newFile) (described iceberg.DataFile, err error) {
	cut := rowfile.Cut[T]{Table: shape, Memory: m.o.budget(), Temp: m.o.Temp, Workers: mergeWorkers, Worker: m.thread}
	stats, err := cut.Write(ctx, file, handle, f.Bytes, gone)
	if err != nil {
		return nil, fmt.Errorf("write %s without %d rows: %w", f.Path, len(gone), err)
	}
	if described, err = file.finish(stats); err != nil {
		return nil, err
	}
	written, err := m.l.o.FS.OpenFile(file.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	defer func() { err = errors.Join(err, written.Close()) }()
	if err := rowfile.CheckCut(shape, written, file.size, f.Rows-int64(len(gone))); err != nil {
		return nil, fmt.Errorf("read back %s: %w", file.path, err)
	}
	return described, nil
}

// rewriteInput writes all rows anew.
func rewriteInput[T any](ctx context.Context, m *Merger, s *store, shape *rowfile.Table[T], f *File, in *inputs, gone []int64) (*newFile, iceberg.DataFile, error) {
	order := make([]rowfile.Ref, 0, f.Rows-int64(len(gone)))
	for row := range f.Rows {
		if len(gone) > 0 && gone[0] == row {
			gone = gone[1:]
			continue
		}
		order = append(order, rowfile.Ref{Row: uint32(row)})
	}
	if err := m.l.o.step("purge write " + s.name); err != nil {
		return nil, nil, err
	}
	file, err := s.newFile(f.Day.Unix()/(24*60*60), f.MinOffset)
	if err != nil {
		return nil, nil, err
	}
	described, err := writeMerged(ctx, m, shape, in.of, order, file, &merged{rowsOut: int64(len(order))})
	if err != nil {
		return nil, nil, errors.Join(err, file.discard())
	}
	return file, described, nil
}
