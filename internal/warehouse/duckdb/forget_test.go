package duckdb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// Who is forgotten in these tests: a short id, a long one, and one that would be packed with those of others.
var victims = []string{"zq7-X", "someone-who-is-to-be-forgotten-8c1f", "user-000042"}

// forgetVar names the file that the test binary forgets in when it is run again as another process; stepVar names the step before which
// it kills itself.
const (
	forgetVar = "FIRTH_TEST_FORGET_IN"
	stepVar   = "FIRTH_TEST_FORGET_STEP"
)

// peopled makes a file with tables of about n rows, some of them of the victims.
func peopled(t *testing.T, path string, n int) {
	t.Helper()
	db := open(t, path)
	column := func(name string, kind table.Type) table.Column { return table.Column{Name: name, Type: kind} }
	calls := []table.Column{column("id", table.String), column("received_at", table.Timestamp), column("user_id", table.String), column("anonymous_id", table.String)}
	for _, c := range []string{"a", "b", "c", "d"} {
		calls = append(calls, table.Column{Name: c, Type: table.String, Path: "properties." + c})
	}
	users := []table.Column{calls[0], calls[1], column("uuid_ts", table.Timestamp), column("loaded_at", table.Timestamp), {Name: "mail", Type: table.String, Path: "properties.mail"}}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: killLog, To: 1, Tables: []*table.Batch{{Name: "tracks", Columns: calls}, {Name: "clicked", Columns: calls}}, Upserts: []*table.Batch{{Name: "users", Columns: users}}}
	if _, err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	list := "['" + strings.Join(victims, "', '") + "']"
	who := "CASE WHEN i % 997 = 5 THEN " + list + "[1 + i // 997 % 3] ELSE 'user-' || lpad((i * 7919 % 90000 + 100)::VARCHAR, 6, '0') END"
	// As the warehouse itself writes it: texts in dictionaries, not packed.
	statements := []string{"SET disabled_compression_methods = 'fsst,dict_fsst'"}
	for _, name := range []string{"tracks", "clicked"} {
		for part := range 4 {
			statements = append(statements, fmt.Sprintf("INSERT INTO production.%s SELECT '%d-' || i, make_timestamptz(1700000000000000 + i * 1000), %s, 'anon of ' || user_id, md5(i::VARCHAR), md5('b' || i), user_id || ' did it', md5('d' || i) FROM (SELECT i, %s AS user_id FROM range(%d) AS t(i)) AS x",
				name, part, "user_id", who, n/8), "CHECKPOINT")
		}
	}
	byHand(t, path, append(statements, "INSERT INTO production.users SELECT DISTINCT user_id, now(), now(), now(), user_id || '@example.org' FROM production.tracks", "CHECKPOINT"))
}

// inFile are those of the texts that are in a file.
func inFile(t *testing.T, path string, texts []string) map[string]bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const overlap = 256
	out, buf := map[string]bool{}, make([]byte, 4<<20)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		for _, s := range texts {
			if bytes.Contains(buf[:n], []byte(s)) {
				out[s] = true
			}
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		at += int64(n - overlap)
	}
}

// counts are how many rows the tables have, and how many of them are of the victims.
func counts(t *testing.T, db *duckdb.DB) (rows, theirs int) {
	t.Helper()
	list := "('" + strings.Join(victims, "', '") + "')"
	err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*), count(*) FILTER (WHERE who IN "+list+") FROM (SELECT user_id AS who FROM production.tracks UNION ALL SELECT user_id FROM production.clicked UNION ALL SELECT id FROM production.users)").Scan(&rows, &theirs)
	if err != nil {
		t.Fatal(err)
	}
	return rows, theirs
}

func order(step func(string) error) warehouse.Forget {
	return warehouse.Forget{Source: "production", Schema: "production", UserIDs: victims, Step: step}
}

// TestForgetChild is the other process of TestForgetKilled.
func TestForgetChild(t *testing.T) {
	path := os.Getenv(forgetVar)
	if path == "" {
		t.Skip("it is run by TestForgetKilled")
	}
	db, err := duckdb.Open(t.Context(), path, duckdb.Options{Memory: 256 << 20, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	kill := func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	_, err = db.Forget(context.Background(), order(func(name string) error {
		if wait, err := strconv.Atoi(os.Getenv(stepVar)); err == nil && name == "copy" {
			time.AfterFunc(time.Duration(wait)*time.Millisecond, func() { _ = kill() })
		}
		if name == os.Getenv(stepVar) {
			return kill()
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestForgetKilled kills the process before each step, and in the midst of writing the file anew. Whatever is found then, no row of others
// is missing, and the next call completes it.
func TestForgetKilled(t *testing.T) {
	made := filepath.Join(t.TempDir(), "warehouse.duckdb")
	peopled(t, made, 60_000)
	db := open(t, made)
	rows, theirs := counts(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(inFile(t, made, victims)); n != len(victims) || theirs == 0 {
		t.Fatalf("%d of the ids are in the file, and %d rows: the search proves nothing", n, theirs)
	}
	steps := []string{"find", "delete", "deleted", "copy", "rename", "attach", "nowhere"}
	for range 4 {
		steps = append(steps, strconv.Itoa(rand.IntN(150)))
	}
	for _, step := range steps {
		path := filepath.Join(t.TempDir(), "warehouse.duckdb")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestForgetChild$")
		cmd.Env = append(os.Environ(), forgetVar+"="+path, stepVar+"="+step)
		if out, err := cmd.CombinedOutput(); err == nil && len(step) == 4 || err != nil && step == "nowhere" {
			t.Fatalf("step %s: %v: %s", step, err, out)
		}
		db := open(t, path)
		if n, left := counts(t, db); n-left != rows-theirs || left != 0 && left != theirs {
			t.Errorf("killed before %s: %d rows, %d of them theirs; there were %d and %d", step, n, left, rows, theirs)
		}
		if _, err := db.Forget(t.Context(), order(nil)); err != nil {
			t.Fatalf("after %s: %v", step, err)
		}
		if n, left := counts(t, db); n != rows-theirs || left != 0 {
			t.Errorf("killed before %s and completed: %d rows, %d of them theirs", step, n, left)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if left := inFile(t, path, victims); len(left) > 0 {
			t.Errorf("killed before %s and completed: %v are in the file", step, left)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "tmp", "*")); err != nil || len(left) > 0 {
			t.Errorf("killed before %s and completed: %q are left", step, left)
		}
	}
}

// TestForgetReadersKeepTheirFile: a transaction that began before sees what it saw, and the old file is given up with it.
func TestForgetReadersKeepTheirFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	peopled(t, path, 20_000)
	db := open(t, path)
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM production.tracks").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	out, err := db.Forget(t.Context(), order(nil))
	if err != nil || !out.Erased || out.Rows["production.tracks"] == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if n := count(); n != before {
		t.Errorf("the reader saw %d rows, then %d", before, n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, left := counts(t, db); left != 0 {
		t.Errorf("%d rows are left for those who come after", left)
	}
	// What is loaded from then on is in the file that has the name.
	b := killedBatch(1)
	b.Tables, b.Upserts = nil, nil
	b.Tables = []*table.Batch{{Name: "later", Columns: []table.Column{{Name: "id", Type: table.String}}, Rows: []table.Row{{Cells: []table.Cell{{Value: table.Text("x")}}}}}}
	if _, err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if deleted := openDeleted(t, path); len(deleted) > 0 {
		t.Errorf("files without a name are held: %q", deleted)
	}
	db = open(t, path)
	var n int
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM production.later").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows of what was loaded afterwards: %v", n, err)
	}
}

// openDeleted are the files below a folder that this process holds and that have no name any more.
func openDeleted(t *testing.T, path string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && strings.HasPrefix(to, filepath.Dir(path)) && strings.HasSuffix(to, " (deleted)") {
			out = append(out, to)
		}
	}
	return out
}

// TestForgetSize says how long it takes in a large file; FIRTH_TEST_FORGET_ROWS is how many rows that has, 6000000 for 1 GB.
func TestForgetSize(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("FIRTH_TEST_FORGET_ROWS"))
	if err != nil {
		t.Skip("set FIRTH_TEST_FORGET_ROWS")
	}
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	peopled(t, path, n)
	db := open(t, path)
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size() >> 20
	}
	was := size()
	began, step, last := time.Now(), "", time.Now()
	tell := func(name string) error {
		if step != "" {
			t.Logf("%s took %s", step, time.Since(last).Round(time.Millisecond))
		}
		step, last = name, time.Now()
		return nil
	}
	out, err := db.Forget(t.Context(), order(tell))
	if err != nil {
		t.Fatal(err)
	}
	_ = tell("")
	t.Logf("%d MB to %d MB in %s: %v", was, size(), time.Since(began).Round(time.Millisecond), out.Rows)
	if left := inFile(t, path, victims); len(left) > 0 {
		t.Errorf("%v are in the file", left)
	}
}
