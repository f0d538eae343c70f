// Package warehousetest is the list of behaviours that every kind of warehouse passes. A kind's own test makes a Target of a
// fresh warehouse and calls Run.
package warehousetest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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

// Target is a warehouse under test. Fields from MostColumns on may stay empty.
type Target struct {
	Warehouse load.Warehouse
	Rules     name.Rules
	// DB reads the same warehouse, as a reader would; Quote makes an identifier for it.
	DB    *sql.DB
	Quote func(string) string
	// Reopen closes the warehouse and opens it again with what was committed.
	Reopen func(t *testing.T) *Target
	// User runs statements as a person with all rights would, in a session whose time zone is UTC, and gives the Target to go on
	// with: the same one where that works beside an open warehouse.
	User func(t *testing.T, statements ...string) *Target

	// MostColumns is how many integer columns a table can have beside the standard ones; 0: a thousand, as many as there ever are.
	MostColumns int
	// Unfit is the reason under which a value that the engine cannot store is discarded; "" is a value that must come back exactly,
	// as all do where Unfit is nil. A text that is not UTF-8 fits nowhere, see NotUTF8.
	Unfit func(v table.Value) string
	// Text is how a value that DB scanned is written, where the suite's own way would not do: see text.
	Text func(v any) (string, bool)
	// Segment are the types of the columns id, received_at, uuid_ts, loaded_at, n (a number) and s (a text) of a table as Segment
	// makes it; those that are missing are varchar(256), timestamp and double precision.
	Segment map[string]string
	// Files are what the warehouse keeps on a disk that the suite can read, as it is now; nil: it cannot. Nothing of a person who was
	// forgotten may stand in them, packed or not, where Forgotten.Erased says so.
	Files func(t *testing.T) []string
	// Lacks names tests, or behaviours that a test asks for, which the engine cannot have, each with the reason. The suite prints it.
	Lacks map[string]string
}

// NotUTF8 is the reason of texts that are not UTF-8.
const NotUTF8 = "not_utf8"

// Behaviours of Target.Lacks that are not the name of a test: the part of a test that asks for one is left out.
const (
	LacksIndexes = "indexes" // user-made indexes
	LacksViews   = "views"   // user-made views that survive when a column below them changes its type
)

type behaviour struct {
	name string
	test func(*testing.T, *bench)
}

// Run runs the suite. open gives an empty warehouse each time, and closes it with the test.
func Run(t *testing.T, open func(t *testing.T) *Target) {
	for _, list := range [][]behaviour{basics, people, odds, users, replays, rebuilds, forgets} {
		for _, c := range list {
			t.Run(c.name, func(t *testing.T) {
				b := &bench{Target: open(t), t: t, source: "production", schema: "production"}
				if why := b.Lacks[c.name]; why != "" {
					t.Skip("not of this warehouse: " + why)
				}
				c.test(t, b)
			})
		}
	}
}

var basics = []behaviour{
	{"empty", testEmpty},
	{"prepare", testPrepare},
	{"create", testCreate},
	{"append", testAppend},
	{"add column", testAddColumn},
	{"widen", testWiden},
	{"conflict is refused whole", testConflict},
	{"discards", testDiscards},
	{"load again", testAgain},
	{"begin elsewhere", testMoved},
	{"two journals and two sources", testApart},
	{"position alone", testPositionAlone},
	{"cancelled", testCancelled},
	{"cancelled in the middle", testCancelledMidway},
	{"goes on after a failure", testAfterFailure},
	{"never half", testNeverHalf},
	{"a thousand columns", testThousandColumns},
	{"many rows", testManyRows},
}

var odds = []behaviour{
	{"names", testNames},
	{"names that ask for quotes", testQuoting},
	{"names of calls", testNamesOfCalls},
	{"odd values", testOddValues},
	{"odd values in odd places", testOddPlaces},
	{"long text", testLongText},
	{"text grows", testTextGrows},
}

const journal = "0b0e9fe0-0000-4000-8000-000000000001"

// bench is a warehouse on the bench: it makes batches that follow one another and reads back what is there.
type bench struct {
	*Target
	t      *testing.T
	source string
	schema string
	next   uint64
}

// received is the time of receipt of the row at an offset.
func received(offset uint64) int64 { return 1_700_000_000_000_000 + int64(offset)*1000 }

// batch begins a batch of the n offsets that follow.
func (b *bench) batch(n uint64) *warehouse.Batch {
	w := &warehouse.Batch{Source: b.source, Schema: b.schema, Log: journal, From: b.next, To: b.next + n, ReceivedThrough: received(b.next + n - 1)}
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

// lacks says that a part of a test is not of this warehouse.
func (b *bench) lacks(behaviour string) bool {
	b.t.Helper()
	why := b.Lacks[behaviour]
	if why != "" {
		b.t.Logf("%s: not of this warehouse: %s", behaviour, why)
	}
	return why != ""
}

// user does what a person does to the warehouse.
func (b *bench) user(statements ...string) {
	b.t.Helper()
	if b.User == nil {
		b.t.Fatal("the Target has no User")
	}
	b.Target = b.User(b.t, statements...)
}

// qualified is a table of the bench's schema.
func (b *bench) qualified(tableName string) string {
	return b.Quote(b.schema) + "." + b.Quote(tableName)
}

// rows reads columns of a table as text, in the order of that text: NULL, numbers in Go's notation, times in RFC 3339.
func (b *bench) rows(tableName string, columns ...string) [][]string {
	b.t.Helper()
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = b.Quote(c)
	}
	out := b.query("SELECT " + strings.Join(quoted, ", ") + " FROM " + b.qualified(tableName))
	slices.SortFunc(out, slices.Compare)
	return out
}

func (b *bench) query(statement string) [][]string {
	b.t.Helper()
	out, err := b.ask(b.t.Context(), statement)
	if err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
	return out
}

// ask reads the answer of a statement; it may be called from any goroutine.
func (b *bench) ask(ctx context.Context, statement string) ([][]string, error) {
	rows, err := b.DB.QueryContext(ctx, statement)
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
			texts[i] = b.text(v)
		}
		out = append(out, texts)
	}
	return out, rows.Err()
}

// text writes a value: NULL, a time in RFC 3339 and UTC, bytes and strings as they are, all else as fmt.Sprint does.
func (b *bench) text(v any) string {
	if b.Text != nil {
		if s, ok := b.Text(v); ok {
			return s
		}
	}
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
	return b.query("SELECT count(*) FROM " + b.qualified(tableName))[0][0]
}

// position is the stored position of the suite's journal.
func (b *bench) position() uint64 {
	b.t.Helper()
	p, err := b.Warehouse.Positions(b.t.Context(), b.source)
	if err != nil {
		b.t.Fatal(err)
	}
	return p[journal].Next
}

// catalogue is the stored columns of a table, nil where there is none.
func (b *bench) catalogue(tableName string) []table.Column {
	b.t.Helper()
	tables, err := b.Warehouse.Catalogue(b.t.Context(), b.source)
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
