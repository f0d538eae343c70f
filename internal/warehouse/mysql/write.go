package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"

	engine "github.com/go-sql-driver/mysql"

	"firth/internal/table"
)

// write puts the rows of a set into a table that has its columns. It streams them (LOAD DATA LOCAL), or where the server does not take
// that sends statements of many rows.
func (l *loading) write(ctx context.Context, set *rowSet, target string) error {
	if len(set.rows) == 0 {
		return nil
	}
	if !l.db.noInfile {
		err := l.stream(ctx, set, target)
		if !refusesStream(err) {
			return err
		}
		l.db.noInfile = true
	}
	if !l.db.told {
		l.db.told = true
		l.notice("the server does not take LOAD DATA LOCAL, so rows are inserted, which is slower: SET GLOBAL local_infile = ON")
	}
	return l.insert(ctx, set, target)
}

// stream hands the rows over as lines. LOAD DATA LOCAL goes on after what would be errors elsewhere, and says so in warnings: any of
// them, or a row too few, is an error here.
func (l *loading) stream(ctx context.Context, set *rowSet, target string) error {
	l.db.streamed++
	// The driver knows streams by name for the whole process.
	name := fmt.Sprintf("firth-%p-%d", l.db, l.db.streamed)
	var rows io.Reader = newLines(set)
	if l.db.spoil != nil {
		rows = l.db.spoil(rows)
	}
	engine.RegisterReaderHandler(name, func() io.Reader { return rows })
	defer engine.DeregisterReaderHandler(name)
	n, err := l.session.count(ctx, loadInfile(name, target, set.names(), set.stamps, timeLiteral(l.now.UnixMicro())))
	if err != nil {
		return err
	}
	if err := l.warned(ctx); err != nil {
		return err
	}
	if n != int64(len(set.rows)) {
		return fmt.Errorf("the server took %d of %d rows", n, len(set.rows))
	}
	return nil
}

// warned makes an error of the first warning of the last statement.
func (l *loading) warned(ctx context.Context) error {
	var first error
	err := l.session.each(ctx, "SHOW WARNINGS", nil, func(rows *sql.Rows) error {
		var level, message string
		var code uint16
		if err := rows.Scan(&level, &code, &message); err != nil {
			return err
		}
		if first == nil && !strings.EqualFold(level, "Note") {
			first = &engine.MySQLError{Number: code, Message: message}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read warnings: %w", err)
	}
	return first
}

// lines is a reader of rows in the form that LOAD DATA reads by default.
type lines struct {
	set   *rowSet
	next  int
	buf   []byte
	at    int
	cells []table.Value // of one row, by place
}

func newLines(set *rowSet) *lines {
	return &lines{set: set, cells: make([]table.Value, len(set.columns))}
}

// Read fills p with lines.
func (r *lines) Read(p []byte) (int, error) {
	if r.at == len(r.buf) {
		r.buf, r.at = r.buf[:0], 0
		for len(r.buf) < len(p) && r.next < len(r.set.rows) {
			r.line()
		}
		if len(r.buf) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, r.buf[r.at:])
	r.at += n
	return n, nil
}

func (r *lines) line() {
	r.set.spread(r.next, r.cells)
	r.next++
	for i, v := range r.cells {
		if i > 0 {
			r.buf = append(r.buf, '\t')
		}
		switch v.Type {
		case table.Null:
			r.buf = append(r.buf, '\\', 'N')
		case table.String:
			r.buf = appendEscaped(r.buf, v.Text)
		default:
			r.buf = appendText(r.buf, v)
		}
	}
	r.buf = append(r.buf, '\n')
}

func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		var e byte
		switch s[i] {
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
		b = append(append(b, s[from:i]...), '\\', e)
		from = i + 1
	}
	return append(b, s[from:]...)
}

// spread puts a row's values, cast to their columns' types, in their places.
func (s *rowSet) spread(row int, into []table.Value) {
	clear(into)
	for _, c := range s.rows[row].Cells {
		at := s.place[c.Col]
		if at < 0 {
			continue
		}
		v := c.Value
		if v.Type != s.columns[at].typ {
			v, _ = v.Cast(s.columns[at].typ) // it fits, see fit
		}
		into[at] = v
	}
}

// insert sends the rows in statements of about a megabyte.
func (l *loading) insert(ctx context.Context, set *rowSet, target string) error {
	names := append(set.names(), set.stamps...)
	head := "/* firth */ INSERT INTO " + target + " (" + quoteAll(names) + ") VALUES "
	now := timeLiteral(l.now.UnixMicro())
	cells := make([]table.Value, len(set.columns))
	buf := make([]byte, 0, 64<<10)
	for i := range set.rows {
		if len(buf) == 0 {
			buf = append(buf, head...)
		} else {
			buf = append(buf, ',')
		}
		set.spread(i, cells)
		buf = appendValues(buf, cells, len(set.stamps), now)
		if len(buf) < l.db.server.mostBatch && i+1 < len(set.rows) {
			continue
		}
		if _, err := l.session.ExecContext(ctx, string(buf)); err != nil {
			return err
		}
		buf = buf[:0]
	}
	return nil
}

// appendValues appends a row as SQL.
func appendValues(b []byte, cells []table.Value, stamps int, now string) []byte {
	b = append(b, '(')
	for i, v := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		switch v.Type {
		case table.Null:
			b = append(b, "NULL"...)
		case table.String:
			b = appendLiteral(b, v.Text)
		case table.Timestamp:
			b = append(appendText(append(b, '\''), v), '\'')
		default:
			b = appendText(b, v)
		}
	}
	for range stamps {
		b = append(append(b, ','), now...)
	}
	return append(b, ')')
}
