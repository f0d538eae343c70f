package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/google/go-cmp/cmp"

	"firth/internal/query"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// own starts a statement that the gate would not let through, or is just handier without it.
func own(t *testing.T, e *query.Engine, text string) *query.Result {
	t.Helper()
	res, err := e.Own(context.Background(), query.Request{SQL: text})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	t.Cleanup(func() {
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	})
	return res
}

// mixed has a column of most kinds, with values at the edges.
const mixed = `SELECT * FROM (VALUES
	(1, 9007199254740992, 9007199254740993, 1.50::DECIMAL(9,2), 0.1::DOUBLE, 'plain', true, DATE '2026-11-01', TIMESTAMPTZ '2026-11-01 12:34:56.789+00', '{"a": [1, null]}'::JSON, [1, NULL], {'k': 'v', 'n': NULL}, MAP {'x': 1.5}, 'ab'::BLOB, INTERVAL '1 year 2 days -3 seconds'),
	(-1, -9007199254740992, -9007199254740993, -0.05, 'nan', 'a "quoted", text' || chr(13) || chr(10) || 'ü', false, DATE '9999-12-31', TIMESTAMPTZ '1969-12-31 23:59:59.5+00', '"text"'::JSON, [], {'k': NULL, 'n': NULL}, MAP {}, ''::BLOB, INTERVAL 0 DAY),
	(NULL, NULL, NULL, NULL, '-infinity', '', NULL, NULL, 'infinity', NULL, NULL, NULL, NULL, NULL, NULL)
) t(small, large, larger, price, ratio, "a name", flag, day, instant, doc, list, object, map, bytes, span)`

func TestTextFormats(t *testing.T) {
	e := newEngine(t, query.Options{})
	for _, c := range []struct {
		name   string
		format query.Format
		width  int
	}{
		{"mixed.json", query.FormatJSON, 0},
		{"mixed.ndjson", query.FormatNDJSON, 0},
		{"mixed.csv", query.FormatCSV, 0},
		{"mixed.list.json", query.FormatList, 0},
		{"mixed.table.txt", query.FormatTable, 0},
		{"mixed.table100.txt", query.FormatTable, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := query.Write(&b, c.format, own(t, e, mixed), c.width); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name, b.Bytes())
			if strings.HasSuffix(c.name, ".json") && !json.Valid(b.Bytes()) {
				t.Error("this is no JSON")
			}
		})
	}
}

// Every type that the engine has, at its least, at its greatest, and NULL.
func TestAllTypes(t *testing.T) {
	e := newEngine(t, query.Options{})
	res := own(t, e, "SELECT * REPLACE (left(bignum::VARCHAR, 20) AS bignum) FROM test_all_types()")
	var b bytes.Buffer
	for {
		cells, err := res.NextCells()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range res.Columns() {
			if !json.Valid(cells[i]) {
				t.Errorf("%s: no JSON: %s", c.Name, cells[i])
			}
			fmt.Fprintf(&b, "%-25s %-30.60s %.200s\n", c.Name, c.Type.Name, cells[i])
		}
		b.WriteByte('\n')
	}
	golden(t, "all_types.txt", b.Bytes())
}

func TestEmptyAndNamelessResults(t *testing.T) {
	e := newEngine(t, query.Options{})
	for _, text := range []string{"SELECT 1 AS a WHERE false", `SELECT 1 AS a, 2 AS a, 3 AS "A", 4 AS a_1`, "SELECT 1 AS \"x\"\"y,z\""} {
		for _, format := range []query.Format{query.FormatJSON, query.FormatNDJSON, query.FormatCSV, query.FormatList, query.FormatTable} {
			var b bytes.Buffer
			if err := query.Write(&b, format, own(t, e, text), 0); err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("small_%d.%s", len(text), format), b.Bytes())
		}
	}
}

// What the Parquet writer makes, the engine reads back as what it was.
func TestParquetRoundTrip(t *testing.T) {
	db, dir := open(t)
	e := query.New(database{db}, query.Options{})
	path := filepath.Join(dir, "out.parquet")
	for _, text := range []string{
		mixed,
		"SELECT * FROM production.tracks",
		"SELECT 1 AS a WHERE false",
		"SELECT i, repeat('x', 2000) AS pad, [i, i + 1] AS l, {'a': {'b': i}} AS s, MAP {i: 'v'} AS m FROM range(50000) t(i)",
		"SELECT sum(i) AS s, 170141183460469231731687303715884105727::UHUGEINT AS u, uuid() = uuid() AS f, 3.5::FLOAT AS fl, TIME '12:34:56.789' AS t, TIMESTAMP_S '2026-01-01 00:00:01' AS ts, '101'::BIT AS b FROM range(10) t(i)",
	} {
		var b bytes.Buffer
		if err := query.WriteParquet(&b, own(t, e, text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var want, got bytes.Buffer
		if err := query.WriteCSV(&want, own(t, e, text), "\n"); err != nil {
			t.Fatal(err)
		}
		if err := query.WriteCSV(&got, own(t, e, "SELECT * FROM read_parquet('"+path+"')"), "\n"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" && len(diff) < 10_000 {
			t.Errorf("%s (-written +read):\n%s", text, diff)
		} else if diff != "" {
			t.Errorf("%s: what was read differs", text)
		}
	}
}

func TestArrowRoundTrip(t *testing.T) {
	e := newEngine(t, query.Options{})
	var b bytes.Buffer
	if err := query.WriteArrow(&b, own(t, e, mixed+" UNION ALL BY NAME SELECT i AS small, 'row ' || i AS \"a name\" FROM range(20000) t(i)")); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var rows int64
	batches := 0
	for r.Next() {
		if batches++; batches == 1 {
			first, err := r.RecordBatch().NewSlice(0, 3).MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "mixed.arrow.txt", []byte(r.Schema().String()+"\n"+string(first)))
		}
		rows += r.RecordBatch().NumRows()
	}
	if r.Err() != nil || rows != 20003 || batches != 3 {
		t.Errorf("%d rows in %d batches, %v", rows, batches, r.Err())
	}
}

func TestWideIntegersDoNotFitArrow(t *testing.T) {
	e := newEngine(t, query.Options{})
	err := query.WriteArrow(io.Discard, own(t, e, "SELECT 170141183460469231731687303715884105727::HUGEINT"))
	if code(err) != query.CodeFailed {
		t.Errorf("got %v", err)
	}
}

// broken is a result that fails after some rows.
type broken struct{ rows int }

func (b *broken) Columns() []query.Column {
	return []query.Column{{Name: "x", Type: query.NamedType("INTEGER")}}
}

func (b *broken) Truncated() bool { return false }

func (b *broken) NextCells() ([][]byte, error) {
	if b.rows--; b.rows < 0 {
		return nil, &query.Error{Code: query.CodeFailed, Message: "no more", Hint: "give up"}
	}
	return [][]byte{[]byte("12345678")}, nil
}

// A query that fails on the way: before anything has left, nothing does; later, JSON and NDJSON say so.
func TestFailuresOnTheWay(t *testing.T) {
	const said = `"error":{"code":"query_failed","message":"no more","hint":"give up"}`
	for _, format := range []query.Format{query.FormatJSON, query.FormatNDJSON, query.FormatCSV, query.FormatList} {
		var early, late bytes.Buffer
		if err := query.WriteCells(&early, format, &broken{100}, 0); code(err) != query.CodeFailed || early.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes were written", format, err, early.Len())
		}
		if err := query.WriteCells(&late, format, &broken{10_000}, 0); code(err) != query.CodeFailed {
			t.Errorf("%s: %v", format, err)
		}
		last := late.Bytes()[late.Len()-100:]
		if wants := format == query.FormatJSON || format == query.FormatNDJSON; wants != bytes.Contains(last, []byte(said)) {
			t.Errorf("%s ends with %s", format, last)
		}
		if format == query.FormatJSON && !json.Valid(late.Bytes()) {
			t.Error("this is no JSON")
		}
	}
	e := newEngine(t, query.Options{})
	for _, format := range []query.Format{query.FormatArrow, query.FormatParquet} {
		var b bytes.Buffer
		res := own(t, e, "SELECT CASE WHEN range = 399999 THEN error('no more')::VARCHAR ELSE 'row ' || range END AS x FROM range(400000)")
		if err := query.Write(&b, format, res, 0); code(err) != query.CodeFailed {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestTruncatedIsSaid(t *testing.T) {
	e := newEngine(t, query.Options{MaxRows: 2})
	out, err := run(e, everyone, "SELECT range AS x FROM range(5)")
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\"columns\":[{\"name\":\"x\",\"type\":\"BIGINT\"}],\"rows\":[\n[0],\n[1]\n],\"truncated\":true}\n"; out != want {
		t.Errorf("got %s", out)
	}
}
