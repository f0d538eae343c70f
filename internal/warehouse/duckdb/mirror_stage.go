package duckdb

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb/stream"
)

// When rows that are staged are moved into the file, so that a process that ends leaves something to go on with, and memory is free again.
// A checkpoint compresses the last row group of a table anew each time, so it comes when one is just full, unless rows are wide.
const (
	stagedBytes = 32 << 20
	stagedMost  = 64 << 20
	stagedEvery = 10 * time.Second
)

// Stage is a staging table. Its methods may be called by several goroutines.
type Stage struct {
	m     *Mirrors
	t     warehouse.MirrorTable
	table string

	// Guarded by the writer's lock.
	columns []vector.Column
	rows    int64 // written by this process
	keys    bool  // keys were stored apart
	ended   bool
}

// keysPrefix begins the name of the table of keys that are stored apart.
const keysPrefix = "_firth_keys_"

//go:embed sql/mirror_drop.sql
var dropStagesSQL string

var errEnded = errors.New("the stage has ended")

// Stage begins to stage rows of a mirror, or goes on with what an earlier run staged. What any other run of the mirror left is removed.
func (m *Mirrors) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (*Stage, error) {
	s := &Stage{m: m, t: t, table: warehouse.StagePrefix + t.Table, columns: slices.Clone(o.Columns)}
	err := m.locked(ctx, "stage", t, func() error {
		r, err := m.record(ctx, t.Name)
		if err != nil {
			return err
		}
		if _, _, err := m.claim(ctx, t, r); err != nil {
			return err
		}
		if o.Resume {
			left, err := m.staged(ctx, t)
			if err != nil {
				return err
			}
			if left != nil && left.Run == o.Run {
				s.columns = left.Columns
				return m.db.exec(ctx, "DROP TABLE IF EXISTS "+s.keysTable())
			}
		}
		return m.db.inTx(ctx, func() error { return s.create(ctx, o.Run) })
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// create removes what is staged of the mirror and makes an empty staging table.
func (s *Stage) create(ctx context.Context, run string) error {
	d := s.m.db
	if err := s.m.dropStages(ctx, s.t.Name); err != nil {
		return err
	}
	columns, err := json.Marshal(s.columns)
	if err != nil {
		return err
	}
	for _, statement := range []string{createSchema(s.t.Schema), "DROP TABLE IF EXISTS " + s.qualified(), "DROP TABLE IF EXISTS " + s.keysTable(), createMirror(s.t.Schema, s.table, s.columns)} {
		if err := d.exec(ctx, statement); err != nil {
			return err
		}
	}
	// What another mirror had staged under the same name is gone with the table.
	if err := d.exec(ctx, "DELETE FROM _firth.mirror_stages WHERE lower(schema_name) = lower($1) AND lower(stage_table) = lower($2)", s.t.Schema, s.table); err != nil {
		return err
	}
	return d.exec(ctx, "INSERT INTO _firth.mirror_stages VALUES "+placeholders(1, 8), s.t.Name, s.t.Schema, s.table, run, string(columns), nil, 0, s.m.now())
}

// dropStages removes all that is staged of a mirror.
func (m *Mirrors) dropStages(ctx context.Context, name string) error {
	statements, err := m.texts(ctx, dropStagesSQL, name, warehouse.StagePrefix, keysPrefix)
	if err != nil {
		return err
	}
	for _, s := range statements {
		// DROP TABLE IF EXISTS is an error where the schema is gone.
		if err := m.db.exec(ctx, s); err != nil && !strings.Contains(err.Error(), "does not exist") {
			return err
		}
	}
	return m.db.exec(ctx, "DELETE FROM _firth.mirror_stages WHERE name = $1", name)
}

func (s *Stage) qualified() string { return qualified(s.t.Schema, s.table) }
func (s *Stage) keysTable() string { return qualified(s.t.Schema, keysPrefix+s.t.Table) }

func (s *Stage) find(name string) int {
	return slices.IndexFunc(s.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, name) })
}

// Write stores rows with their progress in one transaction.
func (s *Stage) Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	names, values, rejects, err := s.shape(c)
	if err != nil {
		return nil, err
	}
	d := s.m.db
	err = s.m.locked(ctx, "write to the stage of", s.t, func() error {
		if s.ended {
			return errEnded
		}
		defer func() { _ = d.texts.trim(arenaKeep) }() // memory that is not given back now is the next time
		err := d.inTx(ctx, func() error {
			if err := s.append(ctx, s.table, names, values, c.Rows); err != nil {
				return err
			}
			return d.exec(ctx, "UPDATE _firth.mirror_stages SET progress = coalesce($2::JSON, progress), rows = rows + $3, updated_at = $4 WHERE name = $1",
				s.t.Name, optional(string(progress)), c.Rows, s.m.now())
		})
		if err != nil {
			return err
		}
		d.dirty = true
		d.unsaved += int64(c.Size())
		before := s.rows
		s.rows += int64(c.Rows)
		full := s.rows/rowGroup > before/rowGroup && d.unsaved >= min(stagedBytes, d.options.checkpointAt())
		if full || d.unsaved >= min(stagedMost, d.options.checkpointAt()) || d.now().Sub(d.tended) >= stagedEvery {
			// The rows are in, whatever becomes of this; an engine that fails here says so to the next who asks.
			if err := d.checkpoint(ctx); warehouse.KindOf(err) == warehouse.Broken && err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rejects, nil
}

// WriteKeys stores keys that the source has, apart from the rows.
func (s *Stage) WriteKeys(ctx context.Context, c *vector.Chunk) error {
	names, values, rejects, err := s.shape(c)
	if err != nil {
		return err
	}
	if len(rejects) > 0 {
		return &warehouse.Error{Op: "write the keys of", Object: s.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the key %q %s", rejects[0].Value, rejects[0].Reason),
			Hint: "mirror without delete_missing, or choose another key"}
	}
	return s.m.locked(ctx, "write the keys of", s.t, func() error {
		if s.ended {
			return errEnded
		}
		defer func() { _ = s.m.db.texts.trim(arenaKeep) }() // memory that is not given back now is the next time
		err := s.m.db.inTx(ctx, func() error {
			if !s.keys {
				var columns []vector.Column
				for _, n := range names {
					columns = append(columns, s.columns[s.find(n)])
				}
				for _, statement := range []string{"DROP TABLE IF EXISTS " + s.keysTable(), createMirror(s.t.Schema, keysPrefix+s.t.Table, columns)} {
					if err := s.m.db.exec(ctx, statement); err != nil {
						return err
					}
				}
			}
			return s.append(ctx, keysPrefix+s.t.Table, names, values, c.Rows)
		})
		if err == nil {
			s.keys, s.m.db.dirty = true, true
			s.m.db.unsaved += int64(c.Size())
		}
		return err
	})
}

// append appends rows to a table of the mirror's schema; the caller holds the lock.
func (s *Stage) append(ctx context.Context, table string, names []string, values []fitting, rows int) error {
	if rows == 0 {
		return nil
	}
	conn, err := stream.Handle(s.m.db.writer)
	if err != nil {
		return err
	}
	return appendVectors(ctx, conn, &s.m.db.texts, s.m.db.catalog, s.t.Schema, table, names, values, rows)
}

// shape brings the columns of a chunk to the types of the stage, and finds what does not fit.
func (s *Stage) shape(c *vector.Chunk) (names []string, values []fitting, rejects []vector.Reject, err error) {
	s.m.db.mu.Lock()
	columns := s.columns // replaced as a whole when it changes
	s.m.db.mu.Unlock()
	for i, have := range c.Columns {
		at := slices.IndexFunc(columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, have.Name) })
		if at < 0 {
			return nil, nil, nil, fmt.Errorf("write to the stage of %s: there is no column %s", s.t.Name, have.Name)
		}
		v, reject := c.Vectors[i], func(row int, reason string) {
			rejects = append(rejects, vector.Reject{Row: row, Column: have.Name, Value: rejected(c.Vectors[i], row), Reason: reason})
		}
		if !v.Type.Equal(columns[at].Type) {
			v = vector.New(columns[at].Type)
			for row := range c.Rows {
				if reason := v.AppendConverted(c.Vectors[i], row); reason != "" {
					reject(row, reason)
				}
			}
		}
		f, reasons := fit(v)
		for row, reason := range reasons {
			reject(row, reason)
		}
		names, values = append(names, columns[at].Name), append(values, f)
	}
	return names, values, rejects, nil
}

// rejected is a value as a text that every table of rejects can hold.
func rejected(v *vector.Vector, row int) string {
	text := v.Text(row)
	if !utf8.ValidString(text) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// AddColumns adds columns, and widens the types of those that are there.
func (s *Stage) AddColumns(ctx context.Context, columns []vector.Column) error {
	return s.m.locked(ctx, "add columns to the stage of", s.t, func() error {
		if s.ended {
			return errEnded
		}
		next := slices.Clone(s.columns)
		err := s.m.db.inTx(ctx, func() error {
			for _, c := range columns {
				at := s.find(c.Name)
				if at < 0 {
					next = append(next, c)
					if err := s.m.db.exec(ctx, addMirrorColumn(s.t.Schema, s.table, c)); err != nil {
						return err
					}
					continue
				}
				from := next[at].Type
				to, lossless := vector.Grow(from, c.Type)
				if !lossless {
					return fmt.Errorf("column %s is %s, which %s does not widen", c.Name, from, c.Type)
				}
				next[at].Type = to
				if mirrorType(from) == mirrorType(to) {
					continue
				}
				if err := s.m.db.exec(ctx, retypeMirror(s.t.Schema, s.table, c.Name, from, to)); err != nil {
					return err
				}
			}
			text, err := json.Marshal(next)
			if err != nil {
				return err
			}
			return s.m.db.exec(ctx, "UPDATE _firth.mirror_stages SET columns = $2 WHERE name = $1", s.t.Name, string(text))
		})
		if err == nil {
			s.columns = next
		}
		return err
	})
}

// Discard drops what is staged.
func (s *Stage) Discard(ctx context.Context) error {
	return s.m.locked(ctx, "discard the stage of", s.t, func() error {
		if s.ended {
			return nil
		}
		err := s.m.db.inTx(ctx, func() error { return s.m.dropStages(ctx, s.t.Name) })
		if err == nil {
			s.ended, s.m.db.dirty = true, true
		}
		return err
	})
}
