package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"

	"firth/internal/source"
	"firth/internal/vector"
)

// How much a batch holds.
const (
	batchRows  = 8192
	batchCells = 1 << 18
	batchBytes = 1 << 20
)

// rows hands out what a statement returns. It is not safe for use by several goroutines.
type rows struct {
	t       *Table
	s       *session
	raw     driver.Rows
	fields  []field
	only    *filter // nil: all
	cancel  context.CancelFunc
	release func()

	row    []driver.Value
	chunk  *vector.Chunk
	err    error // what ended it, io.EOF at its end; the driver does not remember
	closed bool
}

// compare sees that the statement returns what was described. A table may be altered at any time.
func (r *rows) compare() error {
	changed := func(what string) error {
		return &source.Error{Op: "read", Name: r.t.subject(), Err: errors.New(what), Advice: "it is read again from the beginning", Changed: true, Retry: true}
	}
	names := r.raw.Columns()
	if len(names) != len(r.fields) {
		return changed(fmt.Sprintf("there are %d columns now and were %d", len(names), len(r.fields)))
	}
	m, ok := r.raw.(metadata)
	if !ok {
		return nil
	}
	for i, f := range r.fields {
		now := describeColumn(m, i)
		t, _, _ := queryType(m, i)
		switch {
		case f.meta != "" && now != f.meta:
			return changed(fmt.Sprintf("column %s is %s now and was %s", f.Name, now, f.meta))
		case r.t.spec.Table == "" && (t.Kind != f.Type.Kind || names[i] != f.Name):
			return changed(fmt.Sprintf("column %s is %s %s now and was %s", f.Name, names[i], t, f.Type))
		}
	}
	return nil
}

// Next fills the batch. What ended the rows once ends them for good: a reading that was cut off never looks complete.
func (r *rows) Next(ctx context.Context, b *source.Batch) error {
	*b = source.Batch{}
	if r.err != nil {
		return r.err
	}
	if r.closed {
		return r.fail(errors.New("the rows are closed"))
	}
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	r.chunk.Reset()
	most := max(64, min(batchRows, batchCells/len(r.fields)))
	for r.chunk.Rows < most && b.Bytes < batchBytes {
		if err := r.raw.Next(r.row); err != nil {
			if !source.AtEnd(err) {
				return r.fail(r.cause(ctx, err))
			}
			if err := r.complete(ctx); err != nil {
				return r.fail(err)
			}
			r.err = io.EOF
			break
		}
		b.Bytes += r.append()
	}
	if r.chunk.Rows == 0 {
		return r.err // only the end leaves none
	}
	b.Chunk = r.chunk
	return nil
}

// cause prefers that the caller gave up to what became of the connection by that.
func (r *rows) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		r.s.dead = true
		return ctx.Err()
	}
	return r.s.see(err)
}

func (r *rows) fail(err error) error {
	r.err = r.t.fail("read", err)
	return r.err
}

// append adds the row that was read and returns how many bytes it had.
func (r *rows) append() int64 {
	size := int64(0)
	n, rejects := r.chunk.Rows, len(r.chunk.Rejects)
	for i, value := range r.row {
		to := r.chunk.Vectors[i]
		if value == nil {
			to.AppendNull()
			continue
		}
		if b, ok := value.([]byte); ok {
			size += int64(len(b))
		} else {
			size += 8
		}
		if reason := r.fields[i].parse(value, to); reason != "" {
			r.chunk.Rejects = append(r.chunk.Rejects, vector.Reject{Row: n, Column: r.fields[i].Name, Value: rejected(value), Reason: reason})
		}
	}
	if r.only != nil && !r.only.wants(r.chunk.Vectors[r.only.column], n) {
		for _, v := range r.chunk.Vectors {
			v.Truncate(n)
		}
		r.chunk.Rejects = r.chunk.Rejects[:rejects]
		return size
	}
	r.chunk.Rows++
	return size
}

// complete looks at the end of a query for values that the server cut, of which it says so in a warning alone.
func (r *rows) complete(ctx context.Context) error {
	if r.t.spec.Table != "" {
		return nil
	}
	if err := r.raw.Close(); err != nil {
		return r.s.see(err)
	}
	var cut error
	err := r.s.each(ctx, "SHOW WARNINGS", func(row []driver.Value) error {
		if n, err := parseCode(row[1]); err == nil && (n == errCutGroupConcat || n == errResultTooLarge) && cut == nil {
			cut = &source.Error{Op: "read", Name: r.t.subject(), Err: fmt.Errorf("the server cut a value: %s", asText(row[2])),
				Advice: "raise what cuts it: SET GLOBAL max_allowed_packet = 1073741824 (group_concat_max_len is raised already)"}
		}
		return nil
	})
	return errors.Join(cut, err)
}

func parseCode(v driver.Value) (uint16, error) {
	n := estimate(v)
	if n < 0 || n > math.MaxUint16 {
		return 0, errors.New("no code of a warning")
	}
	return uint16(n), nil
}

// Close gives the connection back. Where rows are left the server is told to end the statement: a reading goes on with its moment.
func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	defer r.release()
	defer r.cancel()
	if r.s.dead {
		_ = r.raw.Close() // the connection is gone
		return nil
	}
	if source.AtEnd(r.err) || number(r.err) != 0 {
		_ = r.raw.Close() // nothing is left to read
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if interrupt(ctx, r.t.pool.connector, r.s.id) != nil {
		r.s.close()
		return nil
	}
	stop := context.AfterFunc(ctx, r.cancel) // hangs up where the rest takes too long
	err := r.raw.Close()
	if !stop() || err != nil && number(err) == 0 {
		r.s.close()
		return nil
	}
	// The order may have come when the statement was through, and hit the next one.
	if err := r.s.exec(ctx, "DO 0"); err != nil && number(err) != errQueryKilled {
		r.s.close()
	}
	return nil
}
