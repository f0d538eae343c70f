package iceberg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/google/go-cmp/cmp"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// answer is what testdata/read.py prints.
type answer struct {
	Types    map[string]string
	All      rowsRead
	Filtered map[string]rowsRead
}

type rowsRead struct {
	Files int
	Rows  [][]*string
}

// sorted are the rows in the order of their first column, null for null.
func (r rowsRead) sorted() (out [][]string) {
	for _, row := range r.Rows {
		line := make([]string, len(row))
		for i, v := range row {
			if line[i] = "null"; v != nil {
				line[i] = *v
			}
		}
		out = append(out, line)
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// ids are the first columns of the rows, joined.
func (r rowsRead) ids() string {
	var out []string
	for _, row := range r.sorted() {
		out = append(out, row[0])
	}
	return strings.Join(out, " ")
}

// python is the interpreter with PyIceberg. Where it is missing the test fails in CI and is skipped elsewhere.
func python(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../../test/engine/setup.sh")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("setup.sh: %v\n%s", err, &problem)
		}
		t.Skipf("PyIceberg could not be installed, see test/engine/setup.sh: %v\n%s", err, &problem)
	}
	return strings.TrimSpace(string(out))
}

// ask has PyIceberg read a table, as a whole and by filters.
func (s *stand) ask(py, schema, name string, filters map[string]string) *answer {
	s.t.Helper()
	args := append([]string{"testdata/read.py", filepath.Join(s.dir, "catalog.db"), schema, name}, slices.Collect(maps.Keys(filters))...)
	cmd := exec.CommandContext(s.t.Context(), py, args...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("PyIceberg: %v\n%s", err, &problem)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		s.t.Fatal(err)
	}
	for filter, ids := range filters {
		if got := a.Filtered[filter].ids(); got != ids {
			s.t.Errorf("where %s: %s, want %s", filter, got, ids)
		}
	}
	return &a
}

// hexFloat writes a float as Python's float.hex does.
func hexFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return map[bool]string{true: "inf", false: "-inf"}[f > 0]
	}
	sign := ""
	if math.Signbit(f) {
		sign, f = "-", -f
	}
	bits := math.Float64bits(f)
	exp, frac := int(bits>>52), bits&(1<<52-1)
	switch {
	case f == 0:
		return sign + "0x0.0p+0"
	case exp == 0:
		return fmt.Sprintf("%s0x0.%013xp-1022", sign, frac)
	}
	return fmt.Sprintf("%s0x1.%013xp%+d", sign, frac, exp-1023)
}

// TestPyIcebergReadsEveryValue loads odd values in several batches, with columns that come and one that is widened, before and after small
// files are put together; another engine reads each of them as it was.
func TestPyIcebergReadsEveryValue(t *testing.T) {
	py := python(t)
	s := newStand(t, t.TempDir())
	columns := []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "s", Type: table.String, Path: "properties.s"},
		{Name: "f", Type: table.Float}, {Name: "b", Type: table.Boolean}, {Name: "n", Type: table.Integer},
	}
	strs := []string{"", " ", "a\x00b", "🚀", strings.Repeat("é", 200), strings.Repeat("\U0010FFFF", 90), "\uFFFD", `"'\`, "x\ny", "null"}
	floats := []float64{0, math.Copysign(0, -1), 0.1, -1e308, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1e15}
	ints := []int64{0, -1, 1 << 40, -(1 << 52), 7, 8, 9, 10, 11, 12}
	times := []int64{0, -1, -62135596800000000, 253402300799999999, 1_700_000_000_123_456, 1, 2, 3, 4, 5}
	var want [][]string
	for i := range strs {
		b := &warehouse.Batch{Source: "production", Schema: "production", Log: faultLog, From: uint64(i), To: uint64(i) + 1}
		cols := slices.Clone(columns)
		n := table.Int(ints[i])
		if i >= 5 {
			cols[5].Type, n = table.Float, table.Float64(float64(ints[i]))
		}
		id := fmt.Sprintf("id-%02d", i)
		b.Tables = []*table.Batch{{Name: "odd", Columns: cols, Rows: []table.Row{{Cells: []table.Cell{
			{Col: 0, Value: table.Text(id)}, {Col: 1, Value: table.Time(times[i])}, {Col: 2, Value: table.Text(strs[i])}, {Col: 3, Value: table.Float64(floats[i])},
			{Col: 4, Value: table.Bool(i%2 == 0)}, {Col: 5, Value: n},
		}}}}}
		if _, err := s.Load(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		want = append(want, []string{id, strconv.FormatInt(times[i], 10), strs[i], hexFloat(floats[i]), strconv.FormatBool(i%2 == 0), hexFloat(float64(ints[i]))})
	}
	check := func(files, ofOne int) {
		t.Helper()
		const one = "id == 'id-09'"
		a := s.ask(py, "production", "odd", map[string]string{
			one: "id-09", "f < 0.0": "id-03 id-08", "b == true": "id-00 id-02 id-04 id-06 id-08", "s >= '🚀'": "id-03 id-05",
			"received_at >= '2023-01-01T00:00:00+00:00'": "id-03 id-04", "n == 1099511627776.0": "id-02", "f == 0.0": "id-00 id-01",
		})
		if diff := cmp.Diff(want, a.All.sorted()); diff != "" {
			t.Errorf("PyIceberg reads other values (-want +got):\n%s", diff)
		}
		if a.All.Files != files || a.Filtered[one].Files != ofOne {
			t.Errorf("%d files, of which %d are read for one id; want %d and %d", a.All.Files, a.Filtered[one].Files, files, ofOne)
		}
		types := map[string]string{"id": "string", "received_at": "timestamptz", "s": "string", "f": "double", "b": "boolean", "n": "double"}
		if diff := cmp.Diff(types, a.Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
	}
	// Five batches became one file when the column was widened.
	check(6, 1)
	if err := s.merge(t.Context(), s.look("production", "odd"), s.look("production", "odd").files); err != nil {
		t.Fatal(err)
	}
	check(1, 1)
}

// look is a table as it is now.
func (s *stand) look(schema, name string) *tbl {
	s.t.Helper()
	t, err := s.load(s.t.Context(), schema, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// TestPyIcebergReadsEveryType writes a column of each type that tables may have.
func TestPyIcebergReadsEveryType(t *testing.T) {
	py := python(t)
	s := newStand(t, t.TempDir())
	p := iceberg.PrimitiveTypes
	fields := []iceberg.NestedField{
		{Name: "id", Type: p.String}, {Name: "i", Type: p.Int32}, {Name: "l", Type: p.Int64}, {Name: "f", Type: p.Float32}, {Name: "d", Type: p.Float64},
		{Name: "d4", Type: iceberg.DecimalTypeOf(4, 2)}, {Name: "d18", Type: iceberg.DecimalTypeOf(18, 6)}, {Name: "d38", Type: iceberg.DecimalTypeOf(38, 10)},
		{Name: "day", Type: p.Date}, {Name: "ts", Type: p.Timestamp}, {Name: "tz", Type: p.TimestampTz}, {Name: "raw", Type: p.Binary}, {Name: "yes", Type: p.Bool},
	}
	tbl, err := s.fresh(t.Context(), "crm", `com"panies`, fields, "id", nil)
	if err != nil {
		t.Fatal(err)
	}
	const row = `SELECT 'a' AS id, -2147483648 AS i, -9223372036854775808 AS l, 1.5::FLOAT AS f, -0.1 AS d, -12.34 AS d4, -123456789012.654321 AS d18,
		-1234567890123456789012345678.0123456789 AS d38, DATE '0001-01-01' AS day, TIMESTAMP '1969-12-31 23:59:59.999999' AS ts,
		TIMESTAMPTZ '2024-03-31 01:00:00+00' AS tz, '\x00\xFF'::BLOB AS raw, true AS yes
		UNION ALL SELECT 'b', 2147483647, 9223372036854775807, -1.5, 0.1, 99.99, 999999999999.999999, 9999999999999999999999999999.9999999999, DATE '9999-12-31',
		TIMESTAMP '2024-02-29 12:00:00', TIMESTAMPTZ '0001-01-01 00:00:00+00', repeat('\xAB', 70)::BLOB, false UNION ALL SELECT 'c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`
	err = s.inWorkshop(t.Context(), func(w *duckdb.Workshop) error {
		add, err := s.write(t.Context(), w, tbl, row)
		if err != nil {
			return err
		}
		return s.commit(t.Context(), "crm", []change{{table: tbl, add: add}})
	})
	if err != nil {
		t.Fatal(err)
	}
	null := slices.Repeat([]string{"null"}, 12)
	want := [][]string{
		{"a", "-2147483648", "-9223372036854775808", hexFloat(1.5), hexFloat(-0.1), "-12.34", "-123456789012.654321", "-1234567890123456789012345678.0123456789", "0001-01-01", "-1",
			"1711846800000000", "00ff", "true"},
		{"b", "2147483647", "9223372036854775807", hexFloat(-1.5), hexFloat(0.1), "99.99", "999999999999.999999", "9999999999999999999999999999.9999999999", "9999-12-31", "1709208000000000",
			"-62135596800000000", strings.Repeat("ab", 70), "false"},
		append([]string{"c"}, null...),
	}
	a := s.ask(py, "crm", `com"panies`, map[string]string{
		"i < 0": "a", "l > 0": "b", "f < 0.0": "b", "d4 < 0": "a", "d18 > 0": "b", "d38 < 0": "a", "day > '2000-01-01'": "b", "ts < '1970-01-01T00:00:00'": "a",
		"tz < '1000-01-01T00:00:00+00:00'": "b", "yes == false": "b", "i is null": "c",
	})
	if diff := cmp.Diff(want, a.All.sorted()); diff != "" {
		t.Errorf("PyIceberg reads other values (-want +got):\n%s", diff)
	}
}
