// Package warehousetest is the list of behaviours that every kind of warehouse passes. A kind's own test makes a Target of a
// fresh warehouse and calls Run.
package warehousetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Target is a warehouse under test.
type Target struct {
	Warehouse load.Warehouse
	Rules     name.Rules
	// DB reads the same warehouse, as a reader would; Quote makes an identifier for it.
	DB    *sql.DB
	Quote func(string) string
	// Reopen closes the warehouse and opens it again with what was committed.
	Reopen func(t *testing.T) *Target
}

// Run runs the suite. open gives an empty warehouse each time, and closes it with the test.
func Run(t *testing.T, open func(t *testing.T) *Target) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"empty", testEmpty},
		{"create", testCreate},
		{"append", testAppend},
		{"add column", testAddColumn},
		{"widen", testWiden},
		{"conflict is refused whole", testConflict},
		{"upsert", testUpsert},
		{"upsert new and known in one batch", testUpsertMixed},
		{"discards", testDiscards},
		{"load again", testAgain},
		{"begin elsewhere", testMoved},
		{"two journals and two sources", testApart},
		{"position alone", testPositionAlone},
		{"cancelled", testCancelled},
		{"goes on after a failure", testAfterFailure},
		{"never half", testNeverHalf},
		{"a thousand columns", testThousandColumns},
		{"many rows", testManyRows},
		{"names", testNames},
		{"names that ask for quotes", testQuoting},
		{"odd values", testOddValues},
		{"long text", testLongText},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &bench{Target: open(t), t: t, schema: "production"}) })
	}
}

const journal = "0b0e9fe0-0000-4000-8000-000000000001"

// bench is a warehouse on the bench: it makes batches that follow one another and reads back what is there.
type bench struct {
	*Target
	t      *testing.T
	schema string
	next   uint64
}

// received is the time of receipt of the row at an offset.
func received(offset uint64) int64 { return 1_700_000_000_000_000 + int64(offset)*1000 }

// batch begins a batch of the n offsets that follow.
func (b *bench) batch(n uint64) *warehouse.Batch {
	w := &warehouse.Batch{Source: "production", Schema: b.schema, Log: journal, From: b.next, To: b.next + n, ReceivedThrough: received(b.next + n - 1)}
	b.next += n
	return w
}

func (b *bench) load(w *warehouse.Batch) *warehouse.Result {
	b.t.Helper()
	r, err := b.Warehouse.Load(b.t.Context(), w)
	if err != nil {
		b.t.Fatalf("load [%d, %d): %v", w.From, w.To, err)
	}
	return r
}

// refuse loads a batch that must fail.
func (b *bench) refuse(w *warehouse.Batch) error {
	b.t.Helper()
	if r, err := b.Warehouse.Load(b.t.Context(), w); err == nil {
		b.t.Fatalf("load [%d, %d) gave %+v, want an error", w.From, w.To, r)
	} else {
		return err
	}
	return nil
}

func (b *bench) reopen() {
	b.t.Helper()
	b.Target = b.Reopen(b.t)
}

// standard are the columns that the suite's tables begin with.
func standard(more ...table.Column) []table.Column {
	return append([]table.Column{
		{Name: "id", Type: table.String},
		{Name: "received_at", Type: table.Timestamp},
		{Name: "uuid_ts", Type: table.Timestamp},
		{Name: "loaded_at", Type: table.Timestamp},
	}, more...)
}

func column(name string, kind table.Type) table.Column {
	return table.Column{Name: name, Type: kind, Path: "properties." + name}
}

// null is a cell that is not there.
var null = table.Value{}

// tableOf makes a batch of a table with the standard columns and more; each row is an offset and the values of the columns beyond.
func tableOf(name string, more []table.Column, rows ...row) *table.Batch {
	out := &table.Batch{Name: name, Columns: standard(more...)}
	for _, r := range rows {
		cells := []table.Cell{{Col: 0, Value: table.Text(r.id)}, {Col: 1, Value: table.Time(received(r.offset))}}
		for i, v := range r.values {
			if v.Type != table.Null {
				cells = append(cells, table.Cell{Col: int32(i + 4), Value: v})
			}
		}
		out.Rows = append(out.Rows, table.Row{Offset: r.offset, Cells: cells})
	}
	return out
}

type row struct {
	id     string
	offset uint64
	values []table.Value
}

func at(offset uint64, values ...table.Value) row {
	return row{id: fmt.Sprintf("id-%06d", offset), offset: offset, values: values}
}

// rows reads columns of a table, ordered by the first, as text: NULL, numbers in Go's notation, times in RFC 3339.
func (b *bench) rows(tableName string, columns ...string) [][]string {
	b.t.Helper()
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = b.Quote(c)
	}
	return b.query("SELECT " + strings.Join(quoted, ", ") + " FROM " + b.Quote(b.schema) + "." + b.Quote(tableName) + " ORDER BY 1")
}

func (b *bench) query(statement string) [][]string {
	b.t.Helper()
	out, err := query(b.t.Context(), b.DB, statement)
	if err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
	return out
}

func query(ctx context.Context, db *sql.DB, statement string) ([][]string, error) {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = text(v)
		}
		out = append(out, texts)
	}
	return out, rows.Err()
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

func (b *bench) want(got, want [][]string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

// count is the number of rows of a table.
func (b *bench) count(tableName string) string {
	b.t.Helper()
	return b.query("SELECT count(*) FROM " + b.Quote(b.schema) + "." + b.Quote(tableName))[0][0]
}

// position is the stored position of the suite's journal.
func (b *bench) position() uint64 {
	b.t.Helper()
	p, err := b.Warehouse.Positions(b.t.Context(), "production")
	if err != nil {
		b.t.Fatal(err)
	}
	return p[journal].Next
}

// catalogue is the stored columns of a table, nil where there is none.
func (b *bench) catalogue(tableName string) []table.Column {
	b.t.Helper()
	tables, err := b.Warehouse.Catalogue(b.t.Context(), "production")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, t := range tables {
		if t.Name == tableName {
			return t.Columns
		}
	}
	return nil
}

func (b *bench) wantCatalogue(tableName string, want []table.Column) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.catalogue(tableName)); diff != "" {
		b.t.Errorf("catalogue of %s differs (-want +got):\n%s", tableName, diff)
	}
}

func discard(offset uint64, reason string) event.Discard {
	return event.Discard{
		TableName: "clicks", ColumnName: "n", Value: "x", ValueType: "string", ColumnType: "integer", Reason: reason,
		RowID: fmt.Sprintf("id-%06d", offset), ReceivedAt: received(offset),
	}
}
