package duckdb

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"firth/internal/table"
	"firth/internal/warehouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDialect holds every statement that is built from names to a golden file.
func TestDialect(t *testing.T) {
	const schema, odd = "production", `we"ird 'name'; --`
	columns := []table.Column{
		{Name: "id", Type: table.String}, {Name: "n", Type: table.Integer}, {Name: "f", Type: table.Float},
		{Name: "b", Type: table.Boolean}, {Name: "timestamp", Type: table.Timestamp}, {Name: odd, Type: table.String},
	}
	must := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	lines := func(statements []string, err error) string {
		t.Helper()
		return must(strings.Join(statements, ";\n"), err)
	}
	var b strings.Builder
	for _, s := range []struct{ name, sql string }{
		{"create schema", createSchema(odd)},
		{"create table", must(createTable(schema, "select", columns))},
		{"create table without columns", must(createTable(schema, odd, nil))},
		{"add column", must(addColumn(schema, "clicks", columns[4]))},
		{"add column with an odd name", must(addColumn(odd, odd, columns[5]))},
		{"widen column", widenColumn(schema, "clicks", odd)},
		{"list inexact", listInexact(schema, odd, "n")},
		{"merge", mergeRows(schema, "users", []string{"id", "received_at", "uuid_ts", "plan", odd})},
		{"merge of ids alone", mergeRows(schema, "users", []string{"id"})},
		{"append what is missing", appendMissing(schema, odd, []string{"id", odd})},
		{"discards that are missing", appendMissingDiscards(schema, []string{"table_name", "loaded_at"})},
		{"recompute users", must(recomputeRows(schema, "users", "identifies", "user_id", columns[1:], time.Unix(1_700_000_000, 123_456_000)))},
		{"recompute ids alone", must(recomputeRows(schema, "accounts", "groups", "group_id", nil, time.Unix(1_700_000_000, 0)))},
		{"swap", lines(swapTable(schema, "_firth_rebuild_production", odd, columns[:2], nil, true))},
		{"swap of a table that is not there", lines(swapTable(schema, "_firth_rebuild_production", "clicks", columns[:1], nil, false))},
		{"swap with columns of a person's", lines(swapTable(schema, "_firth_rebuild_production", "clicks", columns[:1],
			[]extraColumn{{name: odd, kind: "VARCHAR", def: "'x'"}, {name: "more", kind: "DATE"}, {name: "untold", kind: "BIGINT", def: "1 + 1", lost: true}}, true))},
		{"swap of discards", strings.Join(swapDiscards(schema, "_firth_rebuild_production", odd), ";\n")},
		{"events without files", eventsView(schema, nil)},
		{"events", eventsView(odd, []string{"/lake/a.parquet", "/lake/it's/b.parquet"})},
		{"dead letters without files", deadLettersView(nil)},
		{"dead letters", deadLettersView([]string{"/lake/c.parquet"})},
		{"lock down", lockDown("/data/lake", "", "/data/it's tmp/")},
		{"placeholders", placeholders(2, 3)},
	} {
		b.WriteString("-- " + s.name + "\n" + s.sql + "\n\n")
	}
	golden := filepath.Join("testdata", "dialect.sql")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(b.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("statements differ (-want +got):\n%s", diff)
	}
	if _, err := createTable(schema, "x", []table.Column{{Name: "nothing"}}); err == nil {
		t.Error("a table with a column without a type")
	}
}

func TestTypesThereAndBack(t *testing.T) {
	for kind, stored := range map[table.Type]string{
		table.Boolean: "BOOLEAN", table.Integer: "BIGINT", table.Float: "DOUBLE", table.Timestamp: "TIMESTAMP WITH TIME ZONE", table.String: "VARCHAR",
	} {
		if got := typeOf(stored); got != kind {
			t.Errorf("%s is %s, want %s", stored, got, kind)
		}
		if _, err := typeName(kind); err != nil {
			t.Error(err)
		}
	}
	if typeOf("HUGEINT") != table.Null {
		t.Error("a type that was never made")
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want warehouse.Kind
	}{
		{&engine.Error{Type: engine.ErrorTypeFatal, Msg: "FATAL Error: Failed: database has been invalidated because of a previous fatal error. The database must be restarted"}, warehouse.Broken},
		{&engine.Error{Type: engine.ErrorTypeInternal, Msg: "INTERNAL Error: Attempted to access index 5 within vector of size 5"}, warehouse.Broken},
		{&engine.Error{Type: engine.ErrorTypeOutOfMemory, Msg: "Out of Memory Error: could not allocate block of size 256.0 KiB (1.0 GiB/1.0 GiB used)"}, warehouse.NoMemory},
		{&engine.Error{Type: engine.ErrorTypeOutOfMemory, Msg: "Out of Memory Error: failed to offload data block of size 256.0 KiB (10.0 GiB/10.0 GiB used). max_temp_directory_size"}, warehouse.DiskFull},
		{&engine.Error{Type: engine.ErrorTypeTransaction, Msg: "TransactionContext Error: Failed to commit: failed to pin block of size 256.0 KiB (255.7 MiB/256.0 MiB used)"}, warehouse.NoMemory},
		{&engine.Error{Type: engine.ErrorTypeIO, Msg: `IO Error: Could not write file "x": No space left on device`}, warehouse.DiskFull},
		{&engine.Error{Type: engine.ErrorTypeIO, Msg: `IO Error: Cannot open file "x": Permission denied`}, warehouse.Denied},
		{&engine.Error{Type: engine.ErrorTypeIO, Msg: "IO Error: Trying to read a database file with version number 99, but we can only read versions between 64 and 67."}, warehouse.Newer},
		{&engine.Error{Type: engine.ErrorTypeSerialization, Msg: "Serialization Error: Failed to deserialize: field id mismatch"}, warehouse.Corrupt},
		{&engine.Error{Type: engine.ErrorTypeCatalog, Msg: "Catalog Error: Table with name x does not exist!"}, warehouse.Unexpected},
	} {
		if got := kindOf(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestArena(t *testing.T) {
	var a arena
	for round := range 3 {
		for _, n := range []int{13, 1000, arenaBlock - 5, arenaBlock, 3 * arenaBlock, 20} {
			if _, err := a.keep(strings.Repeat("x", n)); err != nil {
				t.Fatal(err)
			}
		}
		if len(a.blocks) > 7 {
			t.Fatalf("round %d: %d blocks: they are not used again", round, len(a.blocks))
		}
		a.reset()
	}
	if err := a.trim(2 * arenaBlock); err != nil || len(a.blocks) == 0 || len(a.blocks) > 2 {
		t.Errorf("%d blocks after a trim, %v", len(a.blocks), err)
	}
	if err := a.trim(0); err != nil || len(a.blocks) != 0 {
		t.Errorf("%d blocks after a trim of all, %v", len(a.blocks), err)
	}
}
