package duckdb_test

import (
	"compress/gzip"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// formatDay is when the fixture's rows were received.
var formatDay = time.Date(2025, 1, 15, 9, 0, 0, 0, time.UTC)

const formatLog = "5b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c11"

// formatBatch is one load of the fixture and of what is loaded on top of it: every type, absent values, values of a column
// that widens, users that are told anew, a discard.
func formatBatch(from, to uint64) *warehouse.Batch {
	columns := []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "event", Type: table.String},
		{Name: "amount", Type: table.Integer}, {Name: "ratio", Type: table.Float}, {Name: "trial", Type: table.Boolean}, {Name: "note", Type: table.String},
	}
	if from >= 20 {
		columns[3].Type = table.Float
	}
	tracks := &table.Batch{Name: "tracks", Columns: columns}
	users := &table.Batch{Name: "users", Columns: []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "plan", Type: table.String},
	}}
	for at := from; at < to; at++ {
		received := table.Time(formatDay.Add(time.Duration(at) * time.Minute).UnixMicro())
		cells := []table.Cell{{Col: 0, Value: table.Text(fmt.Sprintf("message-%03d", at))}, {Col: 1, Value: received}, {Col: 2, Value: table.Text("Ordered")}}
		amount := table.Int(int64(at) * 1_000_003)
		if from >= 20 {
			amount = table.Float64(float64(at) + 0.25)
		}
		cells = append(cells, table.Cell{Col: 3, Value: amount})
		if at%2 == 0 {
			cells = append(cells, table.Cell{Col: 4, Value: table.Float64(float64(at) / 8)}, table.Cell{Col: 5, Value: table.Bool(at%4 == 0)})
		}
		if at%3 == 0 {
			cells = append(cells, table.Cell{Col: 6, Value: table.Text(fmt.Sprintf("größer als \"%d\" 日本", at))})
		}
		tracks.Rows = append(tracks.Rows, table.Row{Cells: cells})
		if at%7 == 0 {
			users.Rows = append(users.Rows, table.Row{Cells: []table.Cell{
				{Col: 0, Value: table.Text(fmt.Sprintf("user-%d", at%14))}, {Col: 1, Value: received}, {Col: 2, Value: table.Text(fmt.Sprintf("plan %d", at))},
			}})
		}
	}
	users.Rows = lastByID(users.Rows)
	discard := event.Discard{
		TableName: "tracks", ColumnName: "trial", Value: "perhaps", ValueType: "string", ColumnType: "boolean", Reason: "type",
		RowID: fmt.Sprintf("message-%03d", from), ReceivedAt: formatDay.UnixMicro(),
	}
	return &warehouse.Batch{
		Source: "production", Schema: "production", Log: formatLog, From: from, To: to,
		ReceivedThrough: formatDay.Add(time.Duration(to-1) * time.Minute).UnixMicro(),
		Tables:          []*table.Batch{tracks}, Upserts: []*table.Batch{users},
		Discards: []event.Discard{discard},
	}
}

func lastByID(rows []table.Row) []table.Row {
	var out []table.Row
	for _, r := range rows {
		out = slices.DeleteFunc(out, func(o table.Row) bool { return o.Cells[0].Value == r.Cells[0].Value })
		out = append(out, r)
	}
	return out
}

// describeWarehouse writes down the positions and every row of every table of the file.
func describeWarehouse(t *testing.T, db *duckdb.DB) string {
	t.Helper()
	var b strings.Builder
	positions, err := db.Positions(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	for log, p := range positions {
		fmt.Fprintf(&b, "position %s %d through %d\n", log, p.Next, p.LoadedThrough)
	}
	for _, q := range []string{
		"SELECT schema_name, table_name, column_name, type, path, ordinal FROM _firth.columns ORDER BY ALL",
		"SELECT id, kind, name, state, rows, tables, notices, error, hint FROM _firth.runs ORDER BY ALL",
		"SELECT id, received_at, event, amount, ratio, trial, note FROM production.tracks ORDER BY id",
		"SELECT id, received_at, plan FROM production.users ORDER BY id",
		"SELECT table_name, column_name, value, row_id FROM production.firth_discards ORDER BY ALL",
	} {
		b.WriteString(q + "\n" + queried(t, db.SQL(), q))
	}
	return b.String()
}

func queried(t *testing.T, db *sql.DB, q string) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if at, ok := v.(time.Time); ok {
				v = at.UTC().Format(time.RFC3339Nano)
			}
			fmt.Fprintf(&b, " %v", v)
		}
		b.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unpackFormat1 gives the warehouse file that the first version wrote.
func unpackFormat1(t *testing.T) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", "format1", "warehouse.duckdb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	write(t, path, content)
	return path
}

// A warehouse of format 1 opens for ever, with its rows, and a load goes on where its position is.
func TestFormat1(t *testing.T) {
	path := unpackFormat1(t)
	db := open(t, path)
	want, err := os.ReadFile(filepath.Join("testdata", "format1", "rows.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), describeWarehouse(t, db)); diff != "" {
		t.Fatalf("the rows of format 1 (-want +got):\n%s", diff)
	}
	again, err := db.Load(t.Context(), formatBatch(30, 40))
	if err != nil || !again.Duplicate {
		t.Errorf("a batch that is in was taken: %+v, %v", again, err)
	}
	if r, err := db.Load(t.Context(), formatBatch(40, 45)); err != nil || r.Rows["tracks"] != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	got := queried(t, db.SQL(), "SELECT count(*), count(DISTINCT id), max(amount), count(note), (SELECT plan FROM production.users WHERE id = 'user-0') FROM production.tracks")
	if got != " 45 45 1.9000057e+07 15 plan 42\n" {
		t.Errorf("after a load: %s", got)
	}
	if p, err := db.Positions(t.Context(), "production"); err != nil || p[formatLog].Next != 45 {
		t.Errorf("positions %v, %v", p, err)
	}
}

// A warehouse of a format that is not known yet is refused in words that say what to do.
func TestNewerFormatIsRefused(t *testing.T) {
	path := unpackFormat1(t)
	db := open(t, path)
	if _, err := db.SQL().Exec("UPDATE _firth.format SET version = 2"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	if err == nil {
		t.Fatal("opened")
	}
	got := strings.ReplaceAll(fmt.Sprintf("error: %v\nhint: %s\n", err, warehouse.HintOf(err)), filepath.Dir(path), "DIR")
	golden := filepath.Join("testdata", "newer.txt")
	if flag.Lookup("update").Value.String() == "true" { // of the package's own tests
		write(t, golden, []byte(got))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
