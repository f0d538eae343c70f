package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"firth/internal/source"
	"firth/internal/vector"
)

// A batch ends with the first row that reaches one of these.
const (
	batchRows  = 2048
	batchBytes = 1 << 20
)

// Scan reads a range. It is one COPY; the rows come while it is read.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	p, fields, sql, err := t.scanSQL(ctx, r)
	if err != nil {
		return nil, t.fail("read", err)
	}
	return t.rows(ctx, p, fields, sql)
}

// scanSQL is the statement of a scan, and what it reads.
func (t *Table) scanSQL(ctx context.Context, r source.Request) (*plan, []field, string, error) {
	p, fields, conditions, err := t.scanned(ctx, r)
	if err != nil {
		return nil, nil, "", err
	}
	return p, fields, copyOut(p.selection(fields, conditions...)), nil
}

// scanned is what a scan reads: the fields, and the conditions for its rows, some of which may be empty.
func (t *Table) scanned(ctx context.Context, r source.Request) (p *plan, fields []field, conditions []string, err error) {
	if p, err = t.planned(ctx); err != nil {
		return nil, nil, nil, err
	}
	if fields, err = p.only(t, r.Only); err != nil {
		return nil, nil, nil, err
	}
	piece, err := rangeCondition(r.Range)
	if err != nil {
		return nil, nil, nil, err
	}
	from := ""
	if text, ok := valueText(r.From); ok && t.spec.Cursor != "" {
		from = p.all[t.spec.Cursor] + " >= " + literal(text)
	}
	return p, fields, []string{p.where, piece, from}, nil
}

// only are the fields that a request wants.
func (p *plan) only(t *Table, names []string) ([]field, error) {
	if names == nil {
		return p.fields, nil
	}
	var out []field
	for _, name := range names {
		found := false
		for _, f := range p.fields {
			if f.Name == name {
				out, found = append(out, f), true
			}
		}
		if !found {
			return nil, t.noColumn(p, name)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no column is wanted")
	}
	return out, nil
}

func (t *Table) rows(ctx context.Context, p *plan, fields []field, sql string) (source.Rows, error) {
	columns := make([]vector.Column, len(fields))
	for i, f := range fields {
		columns[i] = f.Column
	}
	s, err := t.start(ctx, sql, len(fields))
	if err != nil {
		return nil, t.fail("read", err)
	}
	chunk := vector.NewChunk(columns)
	return &rows{
		stream: s, chunk: chunk,
		decoder: decoder{fields: fields, chunk: chunk, checks: s.link.conn.PgConn().ParameterStatus("server_encoding") == "SQL_ASCII"},
	}, nil
}

// rows decodes a COPY.
type rows struct {
	stream  *stream
	chunk   *vector.Chunk
	decoder decoder
	err     error
}

// Next implements source.Rows.
func (r *rows) Next(ctx context.Context, b *source.Batch) error {
	r.chunk.Reset()
	if r.err != nil {
		return r.err
	}
	size := 0
	err := r.stream.within(ctx, func() error {
		for r.chunk.Rows < batchRows && size < batchBytes {
			data, err := r.stream.next()
			if err != nil {
				return err
			}
			size += len(data)
			if err := r.decoder.feed(data); err != nil {
				return err
			}
		}
		return nil
	})
	if source.AtEnd(err) && (!r.decoder.ended || len(r.decoder.rest) > 0) {
		err = errors.New("the copy ended without its mark")
	}
	switch {
	case err == nil:
	case source.AtEnd(err) && r.stream.ended:
		r.stream.release(true)
		if r.err = io.EOF; r.chunk.Rows == 0 {
			return io.EOF
		}
	default:
		r.stream.release(false)
		r.err = r.stream.table.fail("read", err)
		return r.err
	}
	b.Chunk, b.Docs, b.Bytes = r.chunk, nil, int64(size)
	return nil
}

// Close implements source.Rows.
func (r *rows) Close() error {
	r.stream.release(false)
	return nil
}

// stream is a COPY under way.
type stream struct {
	table    *Table
	link     *link
	columns  int
	ended    bool // the server is ready for the next statement
	released bool
	failed   error
}

const savepoint = "firth_scan"

// start sends the statement. The link belongs to the stream until release.
func (t *Table) start(ctx context.Context, sql string, columns int) (*stream, error) {
	l, err := t.take(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{table: t, link: l, columns: columns}
	if l.keeper {
		sql = "SAVEPOINT " + savepoint + "; " + sql + "; RELEASE SAVEPOINT " + savepoint
	}
	err = s.within(ctx, func() error {
		f := l.conn.PgConn().Frontend()
		f.SendQuery(&pgproto3.Query{String: sql})
		if err := f.Flush(); err != nil {
			return err
		}
		return s.first()
	})
	if err != nil {
		s.release(false)
		return nil, err
	}
	return s, nil
}

// within runs fn, and cuts the connection when the context ends.
func (s *stream) within(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn := s.link.conn.PgConn().Conn()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // one that is closed needs none
	err := fn()
	if !stop() {
		s.ended = false
		return ctx.Err()
	}
	return err
}

// first waits for the server to begin with the copy, or to say why it does not.
func (s *stream) first() error {
	for {
		msg, err := s.receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyOutResponse:
			if msg.OverallFormat != 1 || len(msg.ColumnFormatCodes) != s.columns {
				return errors.New("the server copies in another form than was asked for")
			}
			return nil
		case *pgproto3.ReadyForQuery:
			s.ended = true
			if s.failed == nil {
				s.failed = errors.New("the server did not begin with the copy")
			}
			return s.failed
		}
	}
}

// next returns the next piece of the copy, valid until the next call, and io.EOF behind the last.
func (s *stream) next() ([]byte, error) {
	for {
		msg, err := s.receive()
		if err != nil {
			return nil, err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			return msg.Data, nil
		case *pgproto3.ReadyForQuery:
			s.ended = true
			if s.failed != nil {
				return nil, s.failed
			}
			return nil, io.EOF
		}
	}
}

// receive waits for a message, and keeps an error of the server until it is ready again.
func (s *stream) receive() (pgproto3.BackendMessage, error) {
	msg, err := s.link.conn.PgConn().ReceiveMessage(context.Background()) // within bounds it
	if err != nil {
		if s.failed != nil {
			return nil, s.failed // the server said why before it went
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // io.EOF is an end
		}
		return nil, fmt.Errorf("%w: %w", errCut, err)
	}
	if e, ok := msg.(*pgproto3.ErrorResponse); ok {
		s.failed = pgconn.ErrorResponseToPgError(e)
	}
	return msg, nil
}

// release gives the link back: whole where the copy came to its end. One that holds the snapshot for others is saved where that is
// possible: the copy is stopped.
func (s *stream) release(whole bool) {
	if s.released {
		return
	}
	s.released = true
	if !whole && s.link.keeper && !s.link.conn.IsClosed() {
		whole = s.stop() == nil
	}
	s.table.put(s.link, whole)
}

// stop ends the copy without ending the connection.
func (s *stream) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pg := s.link.conn.PgConn()
	if err := pg.Conn().SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if !s.ended {
		if err := pg.CancelRequest(ctx); err != nil {
			return err
		}
		for {
			if _, err := s.next(); s.ended {
				break
			} else if err != nil {
				return err
			}
		}
	}
	if err := pg.Conn().SetDeadline(time.Time{}); err != nil {
		return err
	}
	if pg.TxStatus() == 'T' { // the copy was over before it was stopped
		return nil
	}
	return s.link.script(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
}

// rangeCondition is the condition of a range.
func rangeCondition(r source.Range) (string, error) {
	var first, past int64
	if n, err := fmt.Sscanf(r.Text, "blocks %d %d", &first, &past); n == 2 && err == nil {
		out := fmt.Sprintf("ctid >= '(%d,0)'::pg_catalog.tid", first)
		if past >= 0 {
			out += fmt.Sprintf(" AND ctid < '(%d,0)'::pg_catalog.tid", past)
		}
		return out, nil
	}
	name, ok := strings.CutPrefix(r.Text, "key ")
	if !ok {
		if r.Text != "" {
			return "", fmt.Errorf("the range %q is none of PostgreSQL", r.Text)
		}
		return "", nil
	}
	var out []string
	if text, ok := valueText(r.Lo); ok {
		out = append(out, quote(name)+" >= "+literal(text))
	}
	if text, ok := valueText(r.Hi); ok {
		out = append(out, quote(name)+" < "+literal(text))
	}
	return strings.Join(out, " AND "), nil
}
