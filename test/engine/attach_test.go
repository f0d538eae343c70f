package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/test/engine/stand"
)

var engines = []string{"pyiceberg", "duckdb"}

// columns are those of a table of events, in the order of the digest of tables.py.
var columns = []string{
	"message_id", "type", "event", "ts", "received_at", "sent_at", "original_timestamp", "user_id", "anonymous_id", "properties", "context", "og_payload",
	"_firth_log", "_firth_offset", "_firth_integrations",
}

// known is what Firth's own SQL finds in a table of events.
func known(t *testing.T, s *stand.Stand, table, event string, from, to time.Time) found {
	t.Helper()
	var texts, nulls []string
	for _, c := range columns {
		if c == "_firth_integrations" { // Firth's views do not show it; no event here says anything of warehouses
			texts, nulls = append(texts, "'null' || chr(31)"), append(nulls, "count(*)")
			continue
		}
		text := c + "::VARCHAR"
		if strings.HasSuffix(c, "_at") || c == "ts" || c == "original_timestamp" {
			text = "epoch_us(" + c + ")::VARCHAR"
		}
		texts = append(texts, "coalesce("+text+", 'null') || chr(31)")
		nulls = append(nulls, "count(*) - count("+c+")")
	}
	sum := digest(s.MustAsk(fmt.Sprintf("SELECT %s FROM lake.%s ORDER BY _firth_offset", strings.Join(texts, " || "), table)))
	row := s.MustAsk(fmt.Sprintf(`SELECT count(*), coalesce(sum(_firth_offset), 0), count(*) FILTER (event = '%s'), count(*) FILTER (ts >= '%s'::TIMESTAMPTZ AND ts < '%s'::TIMESTAMPTZ), %s FROM lake.%s`,
		strings.ReplaceAll(event, "'", "''"), from.Format(isoTime), to.Format(isoTime), strings.Join(nulls, ", "), table))[0]
	number := func(i int) int {
		n, err := strconv.Atoi(row[i])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	out := found{Rows: number(0), Offsets: uint64(number(1)), Event: number(2), Time: number(3), Digest: sum, Nulls: map[string]int{}}
	for i, c := range columns {
		if n := number(4 + i); n > 0 {
			out.Nulls[c] = n
		}
	}
	if out.Rows == 0 {
		return found{}
	}
	return out
}

// asker is a Python program beside this file that attaches engines, as a reader without keys of its own, and answers one question after the other.
type asker struct {
	in      io.Writer
	out     *bufio.Scanner
	problem *bytes.Buffer // it may be read once the program has ended
	end     func()
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python(t), "attach.py")
	cmd.Env = append(stand.ReaderEnv(), "FIRTH_TOKEN="+stand.Token)
	a := &asker{problem: &bytes.Buffer{}}
	cmd.Stderr = a.problem
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.in, a.out = in, bufio.NewScanner(out)
	a.out.Buffer(nil, 16<<20)
	a.end = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait() // what it has to say is in problem
	})
	t.Cleanup(a.end)
	return a
}

// attached lets an engine attach to a catalog, by its URL or the path of its database, and asks it something.
func attached[T any](t *testing.T, a *asker, catalog, engine string, question ...string) (answer T) {
	t.Helper()
	line, err := json.Marshal(append([]string{engine, catalog}, question...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.in.Write(append(line, '\n')); err != nil || !a.out.Scan() {
		a.end()
		t.Fatalf("%s: %v, %v\n%s", line, err, a.out.Err(), a.problem)
	}
	if err := json.Unmarshal(a.out.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v: %s", line, err, a.out.Bytes())
	}
	return answer
}

// sameAnswers compares what engines read by the catalog's URL with what Firth's own SQL says.
func sameAnswers(t *testing.T, a *asker, s *stand.Stand, when string) {
	t.Helper()
	from, to := stand.Start.Add(12*time.Hour), stand.Start.Add(24*time.Hour)
	want := map[string]found{"firth_dead_letters": {}}
	for _, table := range []string{"production", "staging"} {
		want[table] = known(t, s, table, stand.Events[1], from, to)
	}
	if p := want["production"]; p.Rows == 0 || p.Event == 0 || p.Time == 0 || p.Event >= p.Rows {
		t.Fatalf("%s: nothing to tell engines by: %+v", when, p)
	}
	for _, engine := range engines {
		got := attached[map[string]found](t, a, s.Catalog(), engine, "tables", stand.Events[1], from.Format(isoTime), to.Format(isoTime))
		compare(t, want, got)
	}
}

func run(t *testing.T, s *stand.Stand, args ...string) {
	t.Helper()
	if out, err := s.Run(args...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// checkSnapshots compares the rows of each snapshot: every flush has added some, and none is lost.
func checkSnapshots(t *testing.T, a *asker, s *stand.Stand, part, parts int) {
	t.Helper()
	var first [][2]int64
	for _, engine := range engines {
		got := attached[[][2]int64](t, a, s.Catalog(), engine, "snapshots", "lake.production")
		if len(got) < parts || got[len(got)-1][1] != int64(part*parts) || !slices.IsSortedFunc(got, func(x, y [2]int64) int { return int(x[1] - y[1]) }) {
			t.Errorf("%s: the rows of the snapshots: %v", engine, got)
		}
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("the engines see other snapshots: %s", diff)
		}
	}
}

// refuseWrites lets engines try to write, and what that leaves behind go: the tables and their files are as before. On a store it is the store that
// refuses, since the key that readers get is for reading alone.
func refuseWrites(t *testing.T, a *asker, s *stand.Stand) {
	t.Helper()
	s.Impatient()
	run(t, s, "lake", "expire")
	s.Eventually(time.Minute, "old files to go", func() error { return settled(s) })
	before := objects(t, s)
	byCatalog := map[string]string{"pyiceberg": "Server does not support endpoint", "duckdb": "the catalog is read-only"}
	byStore := map[string]string{"pyiceberg": "ACCESS_DENIED", "duckdb": "AccessDenied"}
	for engine, table := range map[string]string{"pyiceberg": "crm.companies", "duckdb": "lake.production"} { // PyIceberg needs more to write by day
		refused, why := attached[string](t, a, s.Catalog(), engine, "insert", table), byCatalog[engine]
		if s.Store != nil {
			why = byStore[engine]
		}
		if !strings.Contains(refused, why) {
			t.Errorf("%s: an insert gets %q, want %q", engine, refused, why)
		}
		if s.Store == nil {
			continue
		}
		at := "s3://" + s.Store.Bucket + "/lake/production/data/by-" + engine + ".parquet"
		if refused := attached[string](t, a, s.Catalog(), engine, "put", at); !strings.Contains(refused, why) {
			t.Errorf("%s: writing a file to the store gets %q, want %q", engine, refused, why)
		}
	}
	left := slices.DeleteFunc(objects(t, s), func(o string) bool { return slices.Contains(before, o) })
	if s.Store == nil && len(left) == 0 {
		t.Error("no engine left an orphan, so nothing is known of their removal")
	}
	if s.Store != nil && len(left) > 0 {
		t.Errorf("keys for reading have written %q", left)
	}
	s.Eventually(time.Minute, "what was left to go", func() error {
		if now := objects(t, s); !slices.Equal(before, now) {
			return fmt.Errorf("files: %s", cmp.Diff(before, now))
		}
		return nil
	})
}

// settled says whether nothing waits to be removed.
func settled(s *stand.Stand) error {
	n, err := s.Metric("firth_tend_condemned_files")
	if err == nil && n != 0 {
		err = fmt.Errorf("%v files wait", n)
	}
	return err
}

// objects are the files of events, sorted, by the names that they have below the lake. Those of typed tables are not among them: upkeep of these
// goes on all the while.
func objects(t *testing.T, s *stand.Stand) []string {
	t.Helper()
	names := files(t, s)
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "_tables/") })
}

func files(t *testing.T, s *stand.Stand) (names []string) {
	t.Helper()
	if s.Store != nil {
		return s.Store.Objects()
	}
	root := filepath.Join(s.Data, "lake")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name, rerr := filepath.Rel(root, path)
			names, err = append(names, name), rerr
		}
		if os.IsNotExist(err) { // the folder of a day that became empty
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
