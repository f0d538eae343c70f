package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Stage is a staging table. Write may be called by several goroutines.
type Stage struct {
	m     *Mirrors
	table warehouse.MirrorTable
	name  string // of the staging table
	key   []string

	mu      sync.RWMutex // held for reading by those who write rows
	columns []vector.Column
	long    map[string]bool // keys whose values are not short
	streams atomic.Int64
}

func (g *Stage) target() string { return qualified(g.table.Schema, g.name) }

// Stage makes a staging table, or goes on with the one of the same run.
func (m *Mirrors) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (*Stage, error) {
	g := &Stage{m: m, table: t, name: short(warehouse.StagePrefix, t.Table, ""), key: o.Key, columns: o.Columns, long: map[string]bool{}}
	err := m.db.withSession(ctx, func(s session) error {
		r, err := m.settled(ctx, s, t, lockSeconds)
		if err != nil {
			return err
		}
		if err := m.mine(ctx, s, t, r); err != nil {
			return err
		}
		have, err := m.stageRow(ctx, s, t.Name)
		if err != nil {
			return err
		}
		if have != nil {
			there, err := exists(ctx, s, have.schema, have.name)
			if err != nil {
				return err
			}
			if there && o.Resume && !have.done && have.Run == o.Run && have.schema == t.Schema && have.name == g.name {
				g.columns = have.Columns
				return g.look(ctx, s)
			}
			if there {
				if err := s.exec(ctx, "DROP TABLE IF EXISTS "+qualified(have.schema, have.name)); err != nil {
					return fmt.Errorf("drop an old stage: %w", err)
				}
			}
		}
		return g.make(ctx, s, o.Run)
	})
	if err != nil {
		return nil, m.db.fail("stage", t.Name, err)
	}
	return g, nil
}

// look finds out which keys have become long.
func (g *Stage) look(ctx context.Context, s session) error {
	have, err := physicals(ctx, s, g.table.Schema, g.name)
	if err != nil {
		return err
	}
	for _, k := range g.key {
		if kind, ok := have[strings.ToLower(k)]; ok && isLong(kind) {
			g.long[strings.ToLower(k)] = true
		}
	}
	return nil
}

// physical is the columns as they are made.
func (g *Stage) physical(columns []vector.Column) []physical {
	out := make([]physical, len(columns))
	for i, c := range columns {
		out[i] = physical{c.Name, g.kind(c)}
	}
	return out
}

func (g *Stage) kind(c vector.Column) string {
	isKey := false
	for _, k := range g.key {
		isKey = isKey || strings.EqualFold(k, c.Name)
	}
	return mirrorType(c.Type, c.Type.Kind == vector.Text && isKey && !g.long[strings.ToLower(c.Name)])
}

// make makes the table, empty.
func (g *Stage) make(ctx context.Context, s session, run string) error {
	if err := makeSchema(ctx, s, g.table.Schema, g.m.db.server.collation); err != nil {
		return err
	}
	if err := s.exec(ctx, "DROP TABLE IF EXISTS "+g.target()); err != nil {
		return fmt.Errorf("drop an old stage: %w", err)
	}
	if err := s.exec(ctx, createMirror(g.target(), g.physical(g.columns), g.m.invisible, g.m.db.server.collation)); err != nil {
		return fmt.Errorf("make the stage: %w", err)
	}
	columns, err := json.Marshal(g.columns)
	if err != nil {
		return err
	}
	return s.exec(ctx, "REPLACE INTO `_firth`.`mirror_stages` (name, run, schema_name, stage_name, columns, progress, row_count, updated_at) VALUES (?, ?, ?, ?, ?, NULL, 0, ?)",
		g.table.Name, run, g.table.Schema, g.name, string(columns), g.m.db.now().UTC())
}

// makeSchema makes a database that is missing; whoever may not make any needs not where it is there.
func makeSchema(ctx context.Context, s session, schema, collation string) error {
	var there bool
	if err := s.QueryRowContext(ctx, tagged("SELECT count(*) > 0 FROM information_schema.schemata WHERE schema_name = ?"), schema).Scan(&there); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if there {
		return nil
	}
	if err := s.exec(ctx, createSchema(schema, collation)); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	return nil
}

// AddColumns adds columns, and widens those whose type is another now.
func (g *Stage) AddColumns(ctx context.Context, columns []vector.Column) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.m.db.withSession(ctx, func(s session) error {
		all := append([]vector.Column(nil), g.columns...)
		var changes []string
		for _, c := range columns {
			at := findColumn(all, c.Name)
			if at < 0 {
				changes = append(changes, "ADD COLUMN "+mirrorColumn(c.Name, g.kind(c), g.m.db.server.collation))
				all = append(all, c)
				continue
			}
			if err := convertColumn(ctx, s, g.target(), all[at], c); err != nil {
				return err
			}
			if before, after := g.kind(all[at]), g.kind(c); before != after {
				changes = append(changes, "MODIFY COLUMN "+mirrorColumn(all[at].Name, after, g.m.db.server.collation))
			}
			all[at].Type = c.Type
		}
		if len(changes) > 0 {
			if err := s.exec(ctx, "ALTER TABLE "+g.target()+" "+strings.Join(changes, ", ")); err != nil {
				return fmt.Errorf("add columns: %w", err)
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			return err
		}
		if err := s.exec(ctx, "UPDATE `_firth`.`mirror_stages` SET columns = ? WHERE name = ?", string(text), g.table.Name); err != nil {
			return err
		}
		g.columns = all
		return nil
	})
	if err != nil {
		return g.m.db.fail("stage", g.table.Name, err)
	}
	return nil
}

// convertColumn readies values for a type in which they are written otherwise: booleans in a text.
func convertColumn(ctx context.Context, s session, table string, from, to vector.Column) error {
	if from.Type.Kind != vector.Bool || to.Type.Kind != vector.Text && to.Type.Kind != vector.JSON {
		return nil
	}
	name := quote(from.Name)
	if err := s.exec(ctx, "ALTER TABLE "+table+" MODIFY COLUMN "+name+" VARCHAR(5) NULL"); err != nil {
		return err
	}
	return s.exec(ctx, "UPDATE "+table+" SET "+name+" = IF("+name+" = '1', 'true', 'false') WHERE "+name+" IN ('0', '1')")
}

// Discard drops the stage.
func (g *Stage) Discard(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.m.db.withSession(ctx, func(s session) error { return g.drop(ctx, s) })
	if err != nil {
		return g.m.db.fail("discard the stage", g.table.Name, err)
	}
	return nil
}

func (g *Stage) drop(ctx context.Context, s session) error {
	if err := s.exec(ctx, "DROP TABLE IF EXISTS "+g.target()); err != nil {
		return err
	}
	return s.exec(ctx, "DELETE FROM `_firth`.`mirror_stages` WHERE name = ?", g.table.Name)
}

// Write stores rows, and the progress with them.
func (g *Stage) Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	rejects, err := g.write(ctx, c, progress)
	if err != nil {
		return nil, g.m.db.fail("stage", g.table.Name, err)
	}
	return rejects, nil
}

func (g *Stage) write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error) {
	g.mu.RLock()
	defer func() { g.mu.RUnlock() }()
	b, long := g.batch(c)
	if len(long) > 0 {
		g.mu.RUnlock()
		err := g.lengthen(ctx, long)
		g.mu.RLock()
		if err != nil {
			return nil, err
		}
	}
	if len(b.columns) == 0 && c.Rows > 0 {
		return nil, errors.New("none of the chunk's columns is one of the stage's")
	}
	err := g.m.db.withSession(ctx, func(s session) error {
		return s.inTx(ctx, func() error {
			if err := g.send(ctx, s, b); err != nil {
				return err
			}
			var text any
			if progress != nil {
				text = string(progress)
			}
			return s.exec(ctx, "UPDATE `_firth`.`mirror_stages` SET progress = coalesce(?, progress), row_count = row_count + ?, updated_at = ? WHERE name = ?", text, c.Rows, g.m.db.now().UTC(), g.table.Name)
		})
	})
	return b.rejects, err
}

// lengthen makes long texts of keys.
func (g *Stage) lengthen(ctx context.Context, names []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m.db.withSession(ctx, func(s session) error {
		for _, name := range names {
			if g.long[strings.ToLower(name)] {
				continue
			}
			if err := s.exec(ctx, "ALTER TABLE "+g.target()+" MODIFY COLUMN "+mirrorColumn(name, "LONGTEXT", g.m.db.server.collation)); err != nil {
				return fmt.Errorf("make room for a long key: %w", err)
			}
			g.long[strings.ToLower(name)] = true
		}
		return nil
	})
}

// send streams the rows, or inserts them where the server takes no streams.
func (g *Stage) send(ctx context.Context, s session, b *batch) error {
	if b.rows == 0 {
		return nil
	}
	if !g.m.insertsOnly() {
		err := g.stream(ctx, s, b)
		if !refusesStream(err) {
			return err
		}
		g.m.setInsert()
	}
	return g.insert(ctx, s, b)
}

func (m *Mirrors) insertsOnly() bool {
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	return m.db.noInfile
}

func (m *Mirrors) setInsert() {
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	m.db.noInfile = true
}

// stream hands the rows over by LOAD DATA LOCAL. What would be errors elsewhere are warnings there: any is an error here, as is a row
// too few.
func (g *Stage) stream(ctx context.Context, s session, b *batch) error {
	// The driver knows streams by name for the whole process.
	name := fmt.Sprintf("firth-mirror-%p-%d", g, g.streams.Add(1))
	engine.RegisterReaderHandler(name, func() io.Reader { return strings.NewReader(string(b.lines)) })
	defer engine.DeregisterReaderHandler(name)
	n, err := s.count(ctx, loadMirror(name, g.target(), b.columns))
	if err != nil {
		return err
	}
	if err := (&loading{session: s}).warned(ctx); err != nil {
		return err
	}
	if n != int64(b.rows) {
		return fmt.Errorf("the server took %d of %d rows", n, b.rows)
	}
	return nil
}

func appendEscapedBytes(b, text []byte) []byte {
	from := 0
	for i, c := range text {
		var e byte
		switch c {
		case 0:
			e = '0'
		case '\t':
			e = 't'
		case '\n':
			e = 'n'
		case '\r':
			e = 'r'
		case '\\':
			e = '\\'
		default:
			continue
		}
		b = append(append(b, text[from:i]...), '\\', e)
		from = i + 1
	}
	return append(b, text[from:]...)
}

// insert sends the rows in statements of about a megabyte, made of the same lines.
func (g *Stage) insert(ctx context.Context, s session, b *batch) error {
	head := "/* firth */ INSERT INTO " + g.target() + " (" + quoteAll(columnNames(b.columns)) + ") VALUES "
	var buf []byte
	rest := b.lines
	for len(rest) > 0 {
		if len(buf) == 0 {
			buf = append(buf, head...)
		} else {
			buf = append(buf, ',')
		}
		rest = appendLine(&buf, rest, b.columns)
		if len(buf) < g.m.db.server.mostBatch && len(rest) > 0 {
			continue
		}
		if _, err := s.ExecContext(ctx, string(buf)); err != nil {
			return err
		}
		buf = buf[:0]
	}
	return nil
}

// appendLine turns the first line into a row of SQL, and returns what is behind it.
func appendLine(buf *[]byte, rest []byte, columns []vector.Column) []byte {
	b := append(*buf, '(')
	for i := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		end := 0
		for rest[end] != '\t' && rest[end] != '\n' {
			end++
		}
		cell := rest[:end]
		rest = rest[end+1:]
		switch {
		case string(cell) == `\N`:
			b = append(b, "NULL"...)
		case columns[i].Type.Kind == vector.Blob:
			b = append(append(append(b, "x'"...), cell...), '\'')
		default:
			b = append(b, '\'')
			for _, c := range cell {
				if c == '\'' {
					b = append(b, '\\')
				}
				b = append(b, c)
			}
			b = append(b, '\'')
		}
	}
	*buf = append(b, ')')
	return rest
}
