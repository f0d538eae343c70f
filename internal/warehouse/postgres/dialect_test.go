package postgres

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// TestDialect holds every statement that is built from names to a golden file.
func TestDialect(t *testing.T) {
	const schema, odd = "production", `we"ird 'name'; \ --`
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
	plain := &view{schema: schema, name: odd, kind: "v", owner: odd, definition: " SELECT 1;", options: []string{"security_barrier=true"}, comment: odd}
	stored := &view{schema: schema, name: "stored", kind: "m", owner: "ann", definition: " SELECT 1;", method: "columnar"}
	old := &relation{columns: []column{{name: "id"}, {name: odd}, {name: "sum", fixed: true}}, through: time.UnixMicro(1_700_000_000_123_456)}
	target := qualified(schema, odd)
	var b strings.Builder
	for _, s := range []struct{ name, sql string }{
		{"create schema", createSchema(odd)},
		{"create table", must(createTable(schema, "select", columns, Heap, ""))},
		{"create table of Hydra's", must(createTable(schema, "clicks", columns[:2], Columnar, ""))},
		{"create table of users", must(createTable(schema, "users", columns[:2], Heap, "id"))},
		{"create table without columns", must(createTable(schema, odd, nil, Heap, ""))},
		{"add columns", must(addColumns(schema, "clicks", columns[4:]))},
		{"widen column", retype(schema, "clicks", odd, "double precision")},
		{"new type in an empty table", retypeEmpty(schema, "clicks", odd, "text")},
		{"list inexact", listInexact(schema, odd, "n", true, true)},
		{"list inexact without ids", listInexact(schema, odd, odd, false, false)},
		{"copy", copyInto(target, []string{"id", odd})},
		{"create stage", createStage(1, []string{"id", odd}, []string{"text", "bigint"})},
		{"insert staged", insertStaged(target, stage(1), []string{"id", odd}, []string{`s."id"`, "f(s.x)"}, notThere(target, "id", "")+" AND "+notTwice(stage(1), "id"))},
		{"insert staged of a table taken over", insertStaged(target, stage(1), []string{"id"}, []string{`s."id"`}, notThere(target, "id", "2024-01-02 03:04:05.678901+00"))},
		{"insert discards again", insertStaged(target, stage(1), []string{"id"}, []string{`s."id"`}, notListed(target, stage(1)))},
		{"update staged", updateStaged(target, stage(2), []string{"id", "received_at", odd}, []string{`s."id"`, `s."received_at"`, "s.x"})},
		{"update of ids alone", updateStaged(target, stage(2), []string{"id"}, []string{`s."id"`})},
		{"read json", tryCast(1, "jsonb")},
		{"read numeric", tryCast(2, "numeric(10,2)")},
		{"read date", tryCast(3, "date")},
		{"read another type", tryCast(4, `production."it's"`)},
		{"list unread", listUnread(schema, odd, stage(1), odd, "f(s.x)", "string", warehouse.ReasonNoFit, `s."id"`, "NULL", "s.x > 1")},
		{"work out anew", updateRecomputed(target, recomputeStaged(qualified(schema, "identifies"), stage(1), "user_id", []string{odd, "n"}, []string{"", "::double precision"}),
			[]string{odd, "n"}, []string{"loaded_at"}, false)},
		{"lock", lockTables([]string{target, qualified(schema, "x")}, "ROW EXCLUSIVE")},
		{"view", strings.Join([]string{dropView(plain), createView(plain), viewComment(plain), viewOwner(plain)}, ";\n")},
		{"materialized view", strings.Join([]string{dropView(stored), createView(stored), viewComment(stored), viewOwner(stored)}, ";\n")},
		{"keep columns", saveOwn("firth_saved_1", target, []string{"mine", odd})},
		{"keep rows", keepAdopted("firth_kept_1", target, qualified("rebuild", odd), old)},
		{"fill", strings.Join(fillFrom(target, qualified("rebuild", odd), "", []string{"id", odd}, nil), ";\n")},
		{"fill with columns kept", strings.Join(fillFrom(target, qualified("rebuild", odd), "pg_temp.firth_saved_1", []string{"id", odd}, []string{"mine"}), ";\n")},
		{"move the catalogue", strings.Join(moveCatalogue(), ";\n")},
		{"set up", setupStatements(odd, "analytics", []string{"staging", odd})},
		{"set up without sources", setupStatements("firth", "analytics", nil)},
	} {
		b.WriteString("-- " + s.name + "\n" + s.sql + "\n\n")
	}
	golden := filepath.Join("testdata", "dialect.sql")
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wanted), b.String()); diff != "" {
		t.Errorf("statements differ (-want +got):\n%s", diff)
	}
	if _, err := createTable(schema, "x", []table.Column{{Name: "nothing"}}, Heap, ""); err == nil {
		t.Error("a table with a column without a type")
	}
	long := warehouse.RebuildPrefix + strings.Repeat("é", 40)
	if cut := schemaOf(long); len(cut) > maxName || cut == schemaOf(long+"x") || schemaOf("production") != "production" {
		t.Errorf("%q is cut to %q", long, cut)
	}
}

// TestKinds covers what a test cannot provoke on a server of its own.
func TestKinds(t *testing.T) {
	config, err := parse("postgres://ann:hush@db.example.com/analytics", Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &DB{config: config}
	pg := func(code, message string) error { return &pgconn.PgError{Code: code, Message: message} }
	for _, c := range []struct {
		err  error
		kind warehouse.Kind
		hint string
	}{
		{pg("57P03", "the database system is starting up"), warehouse.Down, "tried again"},
		{pg("57P02", "crash of another process"), warehouse.Down, "tried again"},
		{pg("08006", "connection failure"), warehouse.Down, "tried again"},
		{pg("40001", "could not serialize access"), warehouse.Busy, "tried again"},
		{pg("40P01", "deadlock detected"), warehouse.Busy, "tried again"},
		{pg("57014", "canceling statement due to statement timeout"), warehouse.Timeout, "tried again"},
		{pg("53200", "out of memory"), warehouse.NoMemory, "log"},
		{pg("54011", "tables can have at most 1600 columns"), warehouse.TooMany, "--rebuild"},
		{pg("25006", "cannot execute INSERT in a read-only transaction"), warehouse.ReadOnly, `ALTER ROLE "ann"`},
		{pg("XX001", "invalid page in block 7"), warehouse.Corrupt, "REINDEX"},
		{pg("28000", `role "ann" does not exist`), warehouse.NoLogin, `CREATE ROLE "ann"`},
		{pg("28000", `no pg_hba.conf entry for host "2001:db8::7", user "ann", database "analytics", SSL encryption`), warehouse.NoLogin, `hostssl "analytics" "ann" 2001:db8::7/128`},
		{pg("28000", "connection requires a valid client certificate"), warehouse.BadLogin, "sslcert"},
		{pg("42501", "must be owner of view x"), warehouse.Denied, "ALTER VIEW"},
		{&inSchema{"production", pg("42501", "permission denied for relation clicks")}, warehouse.Denied, `GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA "production" TO "ann"`},
		{pg("99999", "something"), warehouse.Unexpected, ""},
		{&net.DNSError{Err: "no such host", Name: "db.example.com", IsNotFound: true}, warehouse.NoHost, "db.example.com"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, warehouse.Down, "no way"},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), warehouse.Down, "cut"},
		{io.ErrUnexpectedEOF, warehouse.Down, "cut"},
		{context.DeadlineExceeded, warehouse.Timeout, "firewalls"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, warehouse.BadTLS, "ca: FILE"},
	} {
		err := d.fail(t.Context(), "load", "production", c.err)
		if warehouse.KindOf(err) != c.kind || !strings.Contains(warehouse.HintOf(err), c.hint) || c.hint == "" && warehouse.HintOf(err) != "" {
			t.Errorf("%v: kind %s, hint %q; want %s, %q", c.err, warehouse.KindOf(err), warehouse.HintOf(err), c.kind, c.hint)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.fail(ctx, "load", "production", context.Canceled); warehouse.KindOf(err) != warehouse.Unexpected || !errors.Is(err, context.Canceled) {
		t.Errorf("%v is no trouble of the warehouse", err)
	}
}

// TestNoSecrets: what is said of a url that cannot be used has no password in it.
func TestNoSecrets(t *testing.T) {
	for _, url := range []string{
		"postgres://ann:hu%sh@db/x", "postgres://ann:hush@db:port/x", "mysql://ann:hush@db/x", "ann:hush", "postgres://ann:hush@db/x?sslmode=hush", "postgres://ann:hush@db/x?port=hush", "postgres://ann@db/x?password=hush&sslmode=none", "postgres://ann@db/x?sslpassword=hush&sslmode=none",
		"postgres://ann:hush@/x", "postgres://ann:hush@db/x?sslmode=verify-full&sslrootcert=/none/such", "",
	} {
		_, err := parse(url, Options{})
		if err == nil {
			t.Errorf("%s is a url", url)
			continue
		}
		if text := err.Error() + warehouse.HintOf(err); strings.Contains(text, "hush") || strings.Contains(text, "hu%sh") || warehouse.KindOf(err) != warehouse.BadName {
			t.Errorf("%s: %s", url, text)
		}
		for _, f := range Check(t.Context(), url, Options{}, nil) {
			if strings.Contains(f.Found+f.Hint, "hush") || f.OK {
				t.Errorf("%s: %+v", url, f)
			}
		}
	}
	if s, err := Setup("postgres://ann:hush@db/analytics", []string{"production"}); err != nil || strings.Contains(s, "hush") || !strings.Contains(s, `CREATE ROLE "ann" LOGIN PASSWORD '<password>'`) {
		t.Errorf("%s, %v", s, err)
	}
	for _, url := range []string{"postgres://db/x", "postgres://ann@db", "postgres://ann:hu%sh@db/x"} {
		if s, err := Setup(url, nil); err == nil || strings.Contains(err.Error(), "hu%sh") {
			t.Errorf("%s: %s, %v", url, s, err)
		}
	}
}

func column0(oid uint32, mod int32) column {
	c := column{name: "c", oid: oid, mod: mod}
	c.form, c.kind = formOf(oid)
	return c
}

func TestTake(t *testing.T) {
	for _, c := range []struct {
		oid    uint32
		mod    int32
		v      table.Value
		reason string
	}{
		{pgtype.TextOID, -1, table.Text("x"), ""}, {pgtype.TextOID, -1, table.Text("a\x00"), warehouse.ReasonNUL}, {pgtype.TextOID, -1, table.Text("\xff"), warehouse.ReasonNotUTF8},
		{pgtype.VarcharOID, 7, table.Text("ééé"), ""}, {pgtype.VarcharOID, 7, table.Text("éééé"), warehouse.ReasonTooLong}, {pgtype.VarcharOID, -1, table.Text("éééé"), ""},
		{pgtype.TextOID, -1, table.Int(7), ""}, {pgtype.Int8OID, -1, table.Text("7"), "incompatible schema conversion from integer to string"},
		{pgtype.Int2OID, -1, table.Int(32767), ""}, {pgtype.Int2OID, -1, table.Int(32768), warehouse.ReasonRange}, {pgtype.Int4OID, -1, table.Int(-1 << 31), ""}, {pgtype.Int4OID, -1, table.Int(1 << 31), warehouse.ReasonRange},
		{pgtype.Float4OID, -1, table.Float64(0.5), ""}, {pgtype.Float4OID, -1, table.Float64(0.1), warehouse.ReasonNoFit}, {pgtype.Int8OID, -1, table.Float64(2), ""},
		{pgtype.TimestamptzOID, -1, table.Time(-62135596800000000), ""}, {pgtype.TimestamptzOID, -1, table.Time(1<<63 - 1), ""}, {pgtype.TimestampOID, -1, table.Time(-1 << 63), warehouse.ReasonRange},
		{pgtype.TimestamptzOID, 3, table.Time(1000), ""}, {pgtype.TimestamptzOID, 3, table.Time(1001), warehouse.ReasonNoFit}, {pgtype.UUIDOID, -1, table.Bool(true), ""},
	} {
		col := column0(c.oid, c.mod)
		if _, reason := col.take(c.v); reason != c.reason {
			t.Errorf("type %d(%d) takes %v %v: %q, want %q", c.oid, c.mod, c.v.Type, c.v, reason, c.reason)
		}
	}
}

// TestRowTooBig: a row that no page holds loses values from its end, each listed, and keeps the rest.
func TestRowTooBig(t *testing.T) {
	columns := []table.Column{{Name: "id", Type: table.String}}
	r := &relation{byName: map[string]int{"id": 0}, columns: []column{{name: "id", oid: pgtype.TextOID, form: formText, kind: table.String, mod: -1}}, method: Heap, width: 1001}
	cells := []table.Cell{{Col: 0, Value: table.Text("id-0")}}
	for i := range 1000 {
		name := fmt.Sprintf("c%04d", i)
		columns = append(columns, table.Column{Name: name, Type: table.String, Path: "properties." + name})
		r.byName[name] = i + 1
		r.columns = append(r.columns, column{name: name, oid: pgtype.TextOID, form: formText, kind: table.String, mod: -1})
		cells = append(cells, table.Cell{Col: int32(i + 1), Value: table.Text(strings.Repeat("x", 12))})
	}
	b := &table.Batch{Name: "wide", Columns: columns, Rows: []table.Row{{Cells: cells}}}
	s, err := scan(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := project(b, s, r, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := newRowReader(p)
	data, err := io.ReadAll(rows)
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Count(data, []byte("xxxxxxxxxxxx"))
	if kept+len(rows.unfit) != 1000 || kept < 600 || kept > 640 {
		t.Errorf("%d values are kept, %d listed", kept, len(rows.unfit))
	}
	if d := rows.unfit[0]; d.ColumnName != "c0999" || d.Reason != warehouse.ReasonRow || d.RowID != "id-0" || d.Value != "xxxxxxxxxxxx" || d.ReceivedAt != event.NoTime {
		t.Errorf("%+v", d)
	}
}

func TestReadable(t *testing.T) {
	for in, want := range map[string]string{"": "", "é": "é", "a\x00b": `"a\x00b"`, "\xff": `"\xff"`} {
		if got := readable(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("é", maxDiscard), "x" + strings.Repeat("é", maxDiscard), strings.Repeat("\x80", maxDiscard+1)} {
		if got := readable(long); len(got) > 4*maxDiscard+2 || len(got) < maxDiscard-4 {
			t.Errorf("%d bytes of %d", len(got), len(long))
		}
	}
}
