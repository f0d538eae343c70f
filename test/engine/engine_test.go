// Package engine tests that engines other than Firth read its lake: each must see every row and every value.
package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/lake"
)

// python returns the interpreter that setup.sh made. Where it is missing the test fails in CI and is skipped elsewhere.
func python(t *testing.T) string {
	t.Helper()
	if os.Getenv("CI") != "true" {
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("python3 is missing: apt-get install python3 python3-venv")
		}
	}
	cmd := exec.Command("./setup.sh")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("setup.sh: %v\n%s", err, &problem)
		}
		t.Skipf("the engines could not be installed, see test/engine/setup.sh: %v\n%s", err, &problem)
	}
	return strings.TrimSpace(string(out))
}

const (
	testLog  = "5b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c11"
	isoTime  = "2006-01-02T15:04:05-07:00"
	favorite = `It's a "Plan" – größer`
)

var start = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// calls makes n calls over some days, with every column absent now and then and texts that are hard to quote.
func calls(source string, n int) []event.Call {
	var out []event.Call
	for i := range n {
		at := start.Add(time.Duration(i) * 7 * time.Minute).UnixMicro()
		c := event.Call{
			MessageID: fmt.Sprintf("%s-%08d", source, i), Type: "track", Event: []string{"Opened", favorite, "Closed", "日本"}[i%4],
			UserID: "user " + strconv.Itoa(i%17), AnonymousID: strings.Repeat("é", i%90+1),
			TS: at + int64(i%1000), ReceivedAt: start.Add(time.Duration(i) * time.Second).UnixMicro(), SentAt: at - 5, OriginalTimestamp: at,
			Properties: []byte(fmt.Sprintf(`{"n": %d, "text": "\u0000 'x' \"y\" 😀"}`, i)), Context: []byte(`{"library":{"name":"test"}}`),
			Payload: []byte(fmt.Sprintf(`{"messageId":"%d","event":null,"deep":{"a":[1,2.50,1e400]}}`, i)),
		}
		switch i % 11 {
		case 0:
			c.UserID, c.SentAt = "", event.NoTime
		case 1:
			c.AnonymousID, c.OriginalTimestamp = "", event.NoTime
		case 2:
			c.Properties = nil
		case 3:
			c.Context = nil
		case 4:
			c.Type, c.Event = "identify", "identify"
		case 5:
			c.Integrations = []byte(`{"All":false,"Warehouses":{"warehouseIds":["größer"]}}`)
		}
		out = append(out, c)
	}
	if n > 10 {
		out[5].TS, out[6].TS = 0, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
	return out
}

// oneFlush is a journal of one record; each writer that drains it makes one commit.
type oneFlush struct {
	first  uint64
	source string
	calls  []event.Call
	dead   []event.DeadLetter
	read   bool
}

func (j *oneFlush) Log() string                        { return testLog }
func (j *oneFlush) Read(uint64) lake.Cursor            { return j }
func (j *oneFlush) Wait(context.Context, uint64) error { return io.EOF }
func (j *oneFlush) Trim(uint64) error                  { return nil }
func (j *oneFlush) items() int                         { return len(j.calls) + len(j.dead) }
func (j *oneFlush) Next() (lake.Frame, error) {
	if j.read {
		return lake.Frame{}, io.EOF
	}
	j.read = true
	return lake.Frame{Offset: j.first, Count: j.items()}, nil
}

func (j *oneFlush) Decode(_ lake.Frame, _ string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	for i := range j.calls {
		if err := call(j.source, &j.calls[i]); err != nil {
			return err
		}
	}
	for i := range j.dead {
		if err := dead(&j.dead[i]); err != nil {
			return err
		}
	}
	return nil
}

// found is what tables.py prints of a table; the fields of PyIceberg alone are pointers.
type found struct {
	Rows    int            `json:"rows"`
	Offsets uint64         `json:"offsets"`
	Nulls   map[string]int `json:"nulls"`
	Digest  string         `json:"digest"`
	Event   int            `json:"event"`
	Time    int            `json:"time"`

	Files       *int        `json:"files,omitempty"`
	FilesOfTime *int        `json:"files_of_time,omitempty"`
	Spec        string      `json:"spec,omitempty"`
	Order       string      `json:"order,omitempty"`
	Statistics  *statistics `json:"statistics,omitempty"`
}

type statistics struct {
	RecordCount int   `json:"record_count"`
	SortOrders  []int `json:"sort_orders"`
	Sized       bool  `json:"sized"`
	Bounds      int   `json:"bounds"`
}

// openLake opens the lake of a catalog, or makes it.
func openLake(t *testing.T, catalog string) *lake.Lake {
	t.Helper()
	dir := filepath.Dir(catalog)
	l, err := lake.Open(context.Background(), lake.Options{
		Catalog: catalog, Dir: filepath.Join(dir, "lake"), Window: filepath.Join(dir, "window"), Sources: []string{"empty"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// makeLake writes tables in several flushes each and returns the catalog and what a reader must find.
func makeLake(t *testing.T, from, to time.Time) (string, map[string]found) {
	t.Helper()
	dir := t.TempDir()
	want := map[string]found{"empty": {}, lake.DeadLetters: {Rows: 3}}
	next := uint64(0)
	l := openLake(t, filepath.Join(dir, "catalog.db"))
	flush := func(j *oneFlush) {
		j.first = next
		for i := range j.calls {
			j.calls[i].Log, j.calls[i].Offset = testLog, next+uint64(i)
		}
		next += uint64(j.items())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := l.Writer(j, j).Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// Busy has so many commits that snapshots are left out and manifests merged.
	for source, size := range map[string]struct{ rows, flushes int }{"production": {3000, 4}, "staging": {40, 4}, "busy": {120, 60}} {
		all := calls(source, size.rows)
		for part := range slices.Chunk(all, size.rows/size.flushes) {
			flush(&oneFlush{source: source, calls: part})
		}
		want[source] = expect(all, from, to)
	}
	flush(&oneFlush{dead: []event.DeadLetter{
		{ReceivedAt: start.UnixMicro(), Source: "production", Reason: "missing_event", Payload: []byte(`{}`), Log: testLog, Offset: next},
		{ReceivedAt: start.UnixMicro() + 1, Reason: "malformed_json", Payload: []byte("\xff\xfe"), Log: testLog, Offset: next + 1},
		{ReceivedAt: start.UnixMicro() + 2, Reason: "unknown_write_key", Log: testLog, Offset: next + 2},
	}})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "catalog.db"), want
}

func expect(all []event.Call, from, to time.Time) found {
	out := found{Rows: len(all), Nulls: map[string]int{}}
	sha := sha256.New()
	for i := range all {
		c := &all[i]
		out.Offsets += c.Offset
		if c.Event == favorite {
			out.Event++
		}
		if c.TS >= from.UnixMicro() && c.TS < to.UnixMicro() {
			out.Time++
		}
		for _, f := range fields(c) {
			if f.null {
				out.Nulls[f.name]++
				f.text = "null"
			}
			fmt.Fprintf(sha, "%s\x1f", f.text)
		}
	}
	out.Digest = hex.EncodeToString(sha.Sum(nil))
	return out
}

type value struct {
	name, text string
	null       bool
}

func fields(c *event.Call) []value {
	text := func(name, v string) value { return value{name, v, v == ""} }
	number := func(name string, v int64) value { return value{name, strconv.FormatInt(v, 10), v == event.NoTime} }
	return []value{
		text("message_id", c.MessageID), text("type", c.Type), text("event", c.Event), number("ts", c.TS), number("received_at", c.ReceivedAt),
		number("sent_at", c.SentAt), number("original_timestamp", c.OriginalTimestamp), text("user_id", c.UserID), text("anonymous_id", c.AnonymousID),
		text("properties", string(c.Properties)), text("context", string(c.Context)), text("og_payload", string(c.Payload)),
		text("_firth_log", c.Log), number("_firth_offset", int64(c.Offset)),
		text("_firth_integrations", string(c.Integrations)),
	}
}

func TestEnginesReadTheLake(t *testing.T) {
	a := newAsker(t)
	from, to := start.Add(36*time.Hour), start.Add(72*time.Hour)
	catalog, want := makeLake(t, from, to)
	ask := func(t *testing.T, engine string) map[string]found {
		return attached[map[string]found](t, a, catalog, engine, "tables", strings.ReplaceAll(favorite, "'", quoteFor[engine]), from.Format(isoTime), to.Format(isoTime))
	}
	for _, engine := range []string{"pyiceberg", "duckdb"} {
		t.Run(engine, func(t *testing.T) {
			got := ask(t, engine)
			if engine == "pyiceberg" {
				checkPlan(t, got["production"])
			}
			compare(t, want, got)
		})
	}
	t.Run("merged", func(t *testing.T) {
		merge(t, catalog)
		for _, engine := range []string{"pyiceberg", "duckdb"} {
			compare(t, want, ask(t, engine))
		}
	})
	t.Run("moved", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "another-place")
		if err := os.Rename(filepath.Dir(catalog), to); err != nil {
			t.Fatal(err)
		}
		catalog = filepath.Join(to, "catalog.db")
		if err := openLake(t, catalog).Close(); err != nil { // which mends it
			t.Fatal(err)
		}
		for _, engine := range []string{"pyiceberg", "duckdb"} {
			compare(t, want, ask(t, engine))
		}
	})
}

// merge merges all that there is to merge.
func merge(t *testing.T, catalog string) {
	t.Helper()
	l := openLake(t, catalog)
	report, err := l.Merger(lake.MergeOptions{Temp: t.TempDir()}).Merge(context.Background(), lake.MergeAll, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.FilesOut == 0 || report.FilesOut >= report.FilesIn {
		t.Errorf("%+v", report)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// compare compares what was found with what must be, but for what only one engine tells.
func compare(t *testing.T, want, got map[string]found) {
	t.Helper()
	for name, f := range got {
		f.Files, f.FilesOfTime, f.Spec, f.Order, f.Statistics = nil, nil, "", "", nil
		if len(f.Nulls) == 0 {
			f.Nulls = nil
		}
		if f.Rows == 0 {
			f.Digest = ""
		}
		got[name] = f
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// quoteFor is how each engine wants an apostrophe: within the text of an expression, or in a parameter.
var quoteFor = map[string]string{"pyiceberg": "''", "duckdb": "'"}

// checkPlan looks at what only an Iceberg library sees: the layout, and that bounds and partitions prune.
func checkPlan(t *testing.T, f found) {
	t.Helper()
	if !strings.Contains(f.Spec, "'ts_day'") || !strings.Contains(f.Spec, "DayTransform") {
		t.Errorf("partitioned by %s, want the day of ts", f.Spec)
	}
	if !strings.Contains(f.Order, "source_id=3") || !strings.Contains(f.Order, "source_id=4") {
		t.Errorf("sorted by %s, want event (3), ts (4)", f.Order)
	}
	if f.Files == nil || f.FilesOfTime == nil || *f.FilesOfTime > 3 || *f.Files < 10 {
		t.Errorf("a day and a half takes %v of %v files", f.FilesOfTime, f.Files)
	}
	want := &statistics{RecordCount: f.Rows, SortOrders: []int{1}, Sized: true, Bounds: 11}
	if diff := cmp.Diff(want, f.Statistics); diff != "" {
		t.Errorf("statistics of the manifests: %s", diff)
	}
}

// digest is that of the rows of a table, each the text of its values.
func digest(rows [][]string) string {
	sha := sha256.New()
	for _, row := range rows {
		sha.Write([]byte(row[0]))
	}
	return hex.EncodeToString(sha.Sum(nil))
}
