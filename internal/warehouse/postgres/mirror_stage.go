package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Stage is a staging table. Its methods may be called by several goroutines.
type Stage struct {
	m     *Mirrors
	t     warehouse.MirrorTable
	table string

	shapes sync.RWMutex // held for reading while rows of one shape are written

	mu      sync.Mutex
	columns []vector.Column
	key     []string
	keys    bool  // keys were stored apart
	order   int64 // of the next row; -1: rows have no order
	ended   bool
}

var errStageEnded = errors.New("the stage has ended")

// Stage begins to stage rows of a mirror, or goes on with what an earlier run staged. What any other run of the mirror left is removed.
func (m *Mirrors) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (*Stage, error) {
	s := &Stage{m: m, t: t, table: stageName(t.Table), columns: slices.Clone(o.Columns), key: slices.Clone(o.Key), order: -1}
	if len(o.Key) > 0 {
		s.order = 0
	}
	err := m.turn(ctx, "stage", t.Name, func(ctx context.Context, d *DB) error {
		r, err := d.record(ctx, t.Name, false)
		if err != nil {
			return err
		}
		if _, _, err := d.claim(ctx, t, r); err != nil {
			return err
		}
		if o.Resume {
			left, err := d.staged(ctx, t)
			if err != nil {
				return err
			}
			if left != nil && left.Run == o.Run {
				return s.goOn(ctx, d, left)
			}
		}
		return d.inTx(ctx, func(ctx context.Context) error { return s.create(ctx, d, o.Run) })
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// goOn takes over what is staged; its keys are not.
func (s *Stage) goOn(ctx context.Context, d *DB, left *warehouse.Staged) error {
	s.columns = left.Columns
	if s.order >= 0 {
		if err := d.conn.QueryRow(ctx, "SELECT coalesce(max("+order+"), -1) + 1 FROM "+s.qualified()).Scan(&s.order); err != nil {
			return err
		}
	}
	_, err := d.conn.Exec(ctx, "DROP TABLE IF EXISTS "+s.keysTable())
	return err
}

// create removes what is staged of the mirror and makes an empty staging table.
func (s *Stage) create(ctx context.Context, d *DB, run string) error {
	if err := d.dropStages(ctx, s.t.Name); err != nil {
		return err
	}
	columns, err := json.Marshal(s.columns)
	if err != nil {
		return err
	}
	if err := d.makeMirrorSchema(ctx, s.t.Schema); err != nil {
		return err
	}
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + s.qualified(), "DROP TABLE IF EXISTS " + s.keysTable(), createMirrorStage(s.t.Schema, s.table, s.columns, s.order >= 0),
	} {
		if _, err := d.conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	_, err = d.conn.Exec(ctx, "INSERT INTO _firth.mirror_stages VALUES ($1, $2, $3, $4, $5, $6::text::json, NULL, 0, $7)",
		s.t.Name, s.t.Schema, s.table, keysName(s.t.Table), run, string(columns), d.now())
	return err
}

// makeMirrorSchema makes the schema where it is missing; IF NOT EXISTS asks for the right to make one even where it is there.
func (d *DB) makeMirrorSchema(ctx context.Context, schema string) error {
	var there bool
	if err := d.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&there); err != nil || there {
		return err
	}
	_, err := d.conn.Exec(ctx, createSchema(schema))
	return err
}

// dropStages removes all that is staged of a mirror.
func (d *DB) dropStages(ctx context.Context, name string) error {
	statements, err := d.texts(ctx, "SELECT format('DROP TABLE IF EXISTS %I.%I, %I.%I', schema_name, stage_table, schema_name, keys_table) FROM _firth.mirror_stages WHERE name = $1 FOR UPDATE", name)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := d.conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	_, err = d.conn.Exec(ctx, "DELETE FROM _firth.mirror_stages WHERE name = $1", name)
	return err
}

func (s *Stage) qualified() string { return qualified(s.t.Schema, s.table) }
func (s *Stage) keysTable() string { return qualified(s.t.Schema, keysName(s.t.Table)) }

// present are the columns as they are now.
func (s *Stage) present() ([]vector.Column, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, fmt.Errorf("the stage of %s: %w", s.t.Name, errStageEnded)
	}
	return s.columns, nil
}

// Write stores rows with their progress in one transaction.
func (s *Stage) Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	s.shapes.RLock()
	defer s.shapes.RUnlock()
	columns, err := s.present()
	if err != nil {
		return nil, err
	}
	names, values, rejects, err := s.shape(c, columns)
	if err != nil {
		return nil, err
	}
	r := &chunkReader{values: values, rows: c.Rows, order: -1}
	s.mu.Lock()
	if s.order >= 0 {
		r.order = s.order
		s.order += int64(c.Rows)
		names = append(names, order)
	}
	s.mu.Unlock()
	err = s.m.turn(ctx, "write to the stage of", s.t.Name, func(ctx context.Context, d *DB) error {
		return d.inTx(ctx, func(ctx context.Context) error {
			if c.Rows > 0 {
				_, err := d.conn.PgConn().CopyFrom(ctx, r, copyInto(s.qualified(), names))
				r.end()
				if err != nil {
					return err
				}
			}
			return s.move(ctx, d, progress, int64(c.Rows))
		})
	})
	if err != nil {
		return nil, err
	}
	return rejects, nil
}

// move writes the progress.
func (s *Stage) move(ctx context.Context, d *DB, progress json.RawMessage, rows int64) error {
	text, _ := optionalJSON(progress, len(progress) == 0)
	tag, err := d.conn.Exec(ctx, "UPDATE _firth.mirror_stages SET progress = coalesce($2::text::json, progress), rows = rows + $3, updated_at = $4 WHERE name = $1 AND stage_table = $5",
		s.t.Name, text, rows, d.now(), s.table)
	if err == nil && tag.RowsAffected() == 0 {
		err = errStageEnded
	}
	return err
}

// WriteRaw stores rows that come in COPY's binary format, types and all, as they are. The progress is asked for when they are in.
func (s *Stage) WriteRaw(ctx context.Context, columns []string, r io.Reader, progress func() (json.RawMessage, error)) (rows int64, err error) {
	if _, err := s.present(); err != nil {
		return 0, err
	}
	err = s.m.turn(ctx, "write to the stage of", s.t.Name, func(ctx context.Context, d *DB) error {
		return d.inTx(ctx, func(ctx context.Context) error {
			tag, err := d.conn.PgConn().CopyFrom(ctx, r, copyInto(s.qualified(), columns))
			if err != nil {
				return err
			}
			rows = tag.RowsAffected()
			p, err := progress()
			if err != nil {
				return err
			}
			return s.move(ctx, d, p, rows)
		})
	})
	if err != nil {
		return 0, err
	}
	return rows, nil
}

// RawType is the type of a column of the stage.
func (s *Stage) RawType(c vector.Column) string { return mirrorType(c) }

// shape brings the columns of a chunk to the types of the stage, and finds what does not fit.
func (s *Stage) shape(c *vector.Chunk, columns []vector.Column) (names []string, values []fitting, rejects []vector.Reject, err error) {
	for i, have := range c.Columns {
		at := slices.IndexFunc(columns, func(c vector.Column) bool { return c.Name == have.Name })
		if at < 0 {
			return nil, nil, nil, fmt.Errorf("write to the stage of %s: there is no column %s", s.t.Name, have.Name)
		}
		f := fitting{v: c.Vectors[i], typ: mirrorType(columns[at])}
		reject := func(row int, reason string) {
			rejects = append(rejects, vector.Reject{Row: row, Column: have.Name, Value: rejected(c.Vectors[i], row), Reason: reason})
		}
		if !f.v.Type.Equal(columns[at].Type) {
			f.v = vector.New(columns[at].Type)
			for row := range c.Rows {
				if reason := f.v.AppendConverted(c.Vectors[i], row); reason != "" {
					reject(row, reason)
				}
			}
		}
		s.m.limits.unfit(f.v, func(row int, reason string) {
			f.drop(row)
			reject(row, reason)
		})
		names, values = append(names, columns[at].Name), append(values, f)
	}
	shorten(values, len(s.key)+1, c.Rows, func(column, row int) {
		rejects = append(rejects, vector.Reject{Row: row, Column: c.Columns[column].Name, Value: rejected(c.Vectors[column], row), Reason: "the row does not fit into a page of 8 kB"})
	})
	return names, values, rejects, nil
}

// rejected is a value as a text that a table of rejects can hold.
func rejected(v *vector.Vector, row int) string {
	text := v.Text(row)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// WriteKeys stores keys that the source has, apart from the rows.
func (s *Stage) WriteKeys(ctx context.Context, c *vector.Chunk) error {
	columns, err := s.present()
	if err != nil {
		return err
	}
	names, values, rejects, err := s.shape(c, columns)
	if err != nil {
		return err
	}
	if len(rejects) > 0 {
		return &warehouse.Error{Op: "write the keys of", Object: s.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the key %q %s", rejects[0].Value, rejects[0].Reason),
			Hint: "mirror without delete_missing, or choose another key"}
	}
	s.mu.Lock()
	first := !s.keys
	s.keys = true
	s.mu.Unlock()
	return s.m.turn(ctx, "write the keys of", s.t.Name, func(ctx context.Context, d *DB) error {
		return d.inTx(ctx, func(ctx context.Context) error {
			if first {
				var list []vector.Column
				for _, n := range names {
					list = append(list, columns[slices.IndexFunc(columns, func(c vector.Column) bool { return c.Name == n })])
				}
				for _, statement := range []string{"DROP TABLE IF EXISTS " + s.keysTable(), createMirror(s.t.Schema, keysName(s.t.Table), list)} {
					if _, err := d.conn.Exec(ctx, statement); err != nil {
						return err
					}
				}
			}
			if c.Rows == 0 {
				return nil
			}
			r := &chunkReader{values: values, rows: c.Rows, order: -1}
			_, err := d.conn.PgConn().CopyFrom(ctx, r, copyInto(s.keysTable(), names))
			r.end()
			return err
		})
	})
}

// AddColumns adds columns, and widens the types of those that are there.
func (s *Stage) AddColumns(ctx context.Context, columns []vector.Column) error {
	s.shapes.Lock()
	defer s.shapes.Unlock()
	have, err := s.present()
	if err != nil {
		return err
	}
	next := slices.Clone(have)
	var statements []string
	for _, c := range columns {
		at := slices.IndexFunc(next, func(have vector.Column) bool { return have.Name == c.Name })
		if at < 0 {
			next, statements = append(next, c), append(statements, addMirrorColumn(s.t.Schema, s.table, c))
			continue
		}
		from := next[at]
		to, lossless := vector.Grow(from.Type, c.Type)
		if !lossless {
			return fmt.Errorf("add columns to the stage of %s: column %s is %s, which %s does not widen", s.t.Name, c.Name, from.Type, c.Type)
		}
		if next[at].Type = to; mirrorType(from) != mirrorType(next[at]) {
			statements = append(statements, retypeMirror(s.t.Schema, s.table, from, next[at]))
		}
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	statements = append(statements, "UPDATE _firth.mirror_stages SET columns = "+literal(string(text))+"::json WHERE name = "+literal(s.t.Name))
	err = s.m.turn(ctx, "add columns to the stage of", s.t.Name, func(ctx context.Context, d *DB) error {
		return d.inTx(ctx, func(ctx context.Context) error {
			for _, statement := range statements {
				if _, err := d.conn.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		s.mu.Lock()
		s.columns = next
		s.mu.Unlock()
	}
	return err
}

// Discard drops what is staged.
func (s *Stage) Discard(ctx context.Context) error {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended {
		return nil
	}
	err := s.m.turn(ctx, "discard the stage of", s.t.Name, func(ctx context.Context, d *DB) error {
		return d.inTx(ctx, func(ctx context.Context) error { return d.dropStages(ctx, s.t.Name) })
	})
	if err == nil {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}
	return err
}
