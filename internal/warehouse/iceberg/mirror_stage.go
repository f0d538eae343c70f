package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// When rows that are staged become a file, so that a process that ends leaves something to go on with.
const (
	partRows  = 122_880 // a row group of the engine
	partBytes = 32 << 20
	partEvery = 10 * time.Second
)

// Stage is a staging table: Parquet files in a folder of this machine, with a note of what they stand for. Rows wait in memory until there
// are enough for a file, and their progress with them: a process that is killed leaves both as they were at the last file. Its methods may
// be called by several goroutines.
type Stage struct {
	m *Mirrors
	t warehouse.MirrorTable

	// Guarded by the lock of the Mirrors' bench.
	note  *note
	rows  buffer
	keys  *buffer // keys that came apart; nil: none did
	ended bool
}

// buffer is a table of the bench in which rows wait for becoming a file.
type buffer struct {
	table   string
	columns []vector.Column // stored
	prefix  string          // of the files
	parts   int
	rows    int
	bytes   int
	since   time.Time // of the last file
	shapes  []shape   // of keys; those of rows are in the note
}

var errEnded = errors.New("the stage has ended")

// Stage begins to stage rows of a mirror, or goes on with what an earlier run staged. What any other run of the mirror left is removed.
func (m *Mirrors) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (*Stage, error) {
	p, err := m.find(ctx, t)
	if err == nil {
		err = p.claim(t)
	}
	if err != nil {
		return nil, m.fail(ctx, "stage", t.Name, err)
	}
	s := &Stage{m: m, t: t}
	err = m.atBench(ctx, "stage", t.Name, func(b *bench) error {
		if before := b.stages[t.Name]; before != nil {
			if err := before.flush(ctx, b); err != nil {
				return err
			}
			before.ended = true
			delete(b.stages, t.Name)
		}
		if s.note, err = m.stageDir(t.Name).note(t, &o, p.record.Stage); err != nil {
			return err
		}
		s.rows = buffer{prefix: s.note.prefix(), parts: s.note.Parts, since: m.db.o.Now()}
		if err := b.open(ctx, &s.rows, s.note.Columns); err != nil {
			return err
		}
		b.stages[t.Name] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Write stores rows with their progress.
func (s *Stage) Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	var rejects []vector.Reject
	err := s.m.atBench(ctx, "write to the stage of", s.t.Name, func(b *bench) error {
		kept, found, err := s.shape(c)
		if err != nil {
			return err
		}
		more, err := s.append(ctx, b, &s.rows, kept)
		if err != nil {
			return err
		}
		rejects = append(found, more...)
		s.note.Rows += int64(c.Rows)
		if progress != nil {
			s.note.Progress = slices.Clone(progress)
		}
		if !s.rows.full(s.m.db.o.Now()) {
			return nil
		}
		return s.flush(ctx, b)
	})
	if err != nil {
		return nil, err
	}
	return rejects, nil
}

// WriteKeys stores keys that the source has; PublishUpsert with DeleteMissing goes by them.
func (s *Stage) WriteKeys(ctx context.Context, c *vector.Chunk) error {
	return s.m.atBench(ctx, "write the keys of", s.t.Name, func(b *bench) error {
		kept, rejects, err := s.shape(c)
		if err != nil {
			return err
		}
		if s.keys == nil {
			mark, err := s.m.db.random(8) // keys are staged anew where a stage is gone on with
			if err != nil {
				return err
			}
			s.keys = &buffer{prefix: keysPrefix + mark + "-", since: s.m.db.o.Now(), shapes: []shape{{Columns: s.note.Columns}}}
			if err := b.open(ctx, s.keys, s.note.Columns); err != nil {
				return err
			}
		}
		more, err := s.append(ctx, b, s.keys, kept)
		if rejects = append(rejects, more...); err == nil && len(rejects) > 0 {
			err = &warehouse.Error{Op: "write the keys of", Object: s.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the key %q %s", rejects[0].Value, rejects[0].Reason),
				Hint: "mirror without delete_missing, or choose another key"}
		}
		if err != nil || !s.keys.full(s.m.db.o.Now()) {
			return err
		}
		return b.spill(ctx, s.keys, s.m.stageDir(s.t.Name))
	})
}

// append appends rows to a buffer. Where that fails nobody knows which of them are in: the stage ends, and may be gone on with from the last
// file.
func (s *Stage) append(ctx context.Context, b *bench, to *buffer, c *vector.Chunk) ([]vector.Reject, error) {
	if s.ended {
		return nil, errEnded
	}
	rejects, err := b.shop.AppendChunk(ctx, to.table, c)
	for i := range rejects {
		at, _ := strconv.Atoi(rejects[i].Column[1:])
		rejects[i].Column = s.note.Columns[at].Name
	}
	if err != nil {
		s.ended = true
		delete(b.stages, s.t.Name)
		return nil, err
	}
	to.rows, to.bytes = to.rows+c.Rows, to.bytes+c.Size()
	return rejects, nil
}

func (b *buffer) full(now time.Time) bool {
	return b.rows >= partRows || b.bytes >= partBytes || b.rows > 0 && now.Sub(b.since) >= partEvery
}

// shape brings the columns of a chunk to those of the stage, as they are stored, and finds what cannot be.
func (s *Stage) shape(c *vector.Chunk) (*vector.Chunk, []vector.Reject, error) {
	var rejects []vector.Reject
	out := &vector.Chunk{Rows: c.Rows}
	for i, have := range c.Columns {
		at := s.find(have.Name)
		if at < 0 {
			return nil, nil, fmt.Errorf("there is no column %s", have.Name)
		}
		v := c.Vectors[i]
		reject := func(row int, reason string) {
			rejects = append(rejects, vector.Reject{Row: row, Column: have.Name, Value: rejected(c.Vectors[i], row), Reason: reason})
		}
		if to := s.note.Columns[at].Type; !v.Type.Equal(to) {
			v = vector.New(to)
			for row := range c.Rows {
				if reason := v.AppendConverted(c.Vectors[i], row); reason != "" {
					reject(row, reason)
				}
			}
		}
		v = store(v, reject)
		out.Columns = append(out.Columns, vector.Column{Name: stagedName(at), Type: v.Type})
		out.Vectors = append(out.Vectors, v)
	}
	return out, rejects, nil
}

func (s *Stage) find(name string) int {
	return slices.IndexFunc(s.note.Columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, name) })
}

// AddColumns adds columns, and widens the types of those that are there.
func (s *Stage) AddColumns(ctx context.Context, columns []vector.Column) error {
	return s.m.atBench(ctx, "add columns to the stage of", s.t.Name, func(b *bench) error {
		if s.ended {
			return errEnded
		}
		next := slices.Clone(s.note.Columns)
		for _, c := range columns {
			at := s.find(c.Name)
			if at < 0 {
				next = append(next, c)
				continue
			}
			to, lossless := vector.Grow(next[at].Type, c.Type)
			if !lossless {
				return fmt.Errorf("column %s is %s, which %s does not widen", c.Name, next[at].Type, c.Type)
			}
			next[at].Type = to
		}
		if err := s.flush(ctx, b); err != nil {
			return err
		}
		changed := *s.note
		changed.Columns = next
		changed.Shapes = append(slices.Clone(changed.Shapes), shape{From: changed.Parts, Columns: next})
		if err := s.m.stageDir(s.t.Name).save(&changed); err != nil {
			return err
		}
		*s.note = changed
		if s.keys != nil {
			if err := b.spill(ctx, s.keys, s.m.stageDir(s.t.Name)); err != nil {
				return err
			}
			s.keys.shapes = append(s.keys.shapes, shape{From: s.keys.parts, Columns: next})
			if err := b.open(ctx, s.keys, next); err != nil {
				return err
			}
		}
		return b.open(ctx, &s.rows, next)
	})
}

// flush makes a file of the rows that wait, and notes what is staged.
func (s *Stage) flush(ctx context.Context, b *bench) error {
	if s.ended {
		return errEnded
	}
	dir := s.m.stageDir(s.t.Name)
	if err := b.spill(ctx, &s.rows, dir); err != nil {
		return err
	}
	s.note.Parts = s.rows.parts
	return dir.save(s.note)
}

// Discard removes what is staged.
func (s *Stage) Discard(ctx context.Context) error {
	return s.m.atBench(ctx, "discard the stage of", s.t.Name, func(b *bench) error {
		if s.ended {
			return nil
		}
		return s.end(ctx, b)
	})
}

// end removes all that the stage has; the caller is at the bench.
func (s *Stage) end(ctx context.Context, b *bench) error {
	s.ended = true
	delete(b.stages, s.t.Name)
	err := b.close(ctx, &s.rows)
	if s.keys != nil {
		err = errors.Join(err, b.close(ctx, s.keys))
	}
	return errors.Join(err, s.m.stageDir(s.t.Name).remove())
}
