package duckdb_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// holdVar names the file that the test binary opens and holds when it is run again as another process.
const holdVar = "FIRTH_TEST_HOLD_WAREHOUSE"

// loadVar makes the other process load.
const loadVar = "FIRTH_TEST_LOAD_WAREHOUSE"

func TestMain(m *testing.M) {
	path := os.Getenv(holdVar)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := holdOpen(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// holdOpen holds the file until its standard input ends; with loadVar set it loads batch after batch all the while, and says after a checkpoint where it is.
func holdOpen(path string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	minutes := 0
	db, err := duckdb.Open(ctx, path, duckdb.Options{Now: func() time.Time { minutes++; return time.Now().Add(time.Duration(minutes) * time.Minute) }})
	if err != nil {
		return err
	}
	fmt.Println("open")
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		stop()
	}()
	for at := uint64(0); os.Getenv(loadVar) != "" && ctx.Err() == nil; at += killBatch {
		if at == 0 {
			p, err := db.Positions(ctx, "production")
			if err != nil {
				return err
			}
			at = p[killLog].Next
		}
		if _, err := db.Load(ctx, killedBatch(at)); err != nil {
			return err
		}
		if at/killBatch%3 == 0 {
			if err := db.Tend(ctx); err != nil {
				return err
			}
			fmt.Println(at + killBatch)
		}
	}
	<-ctx.Done()
	return db.Close()
}

// hold opens the file in another process, which keeps it until release, and returns its id.
func hold(t *testing.T, path string) (pid int, release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+path)
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
	release = func() {
		in.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd.Process.Pid, release
}

func TestOpenLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	pid, release := hold(t, path)
	_, err := duckdb.Open(t.Context(), path, duckdb.Options{})
	var e *warehouse.Error
	if !errors.As(err, &e) || e.Kind != warehouse.Locked {
		t.Fatalf("open a locked file: %v", err)
	}
	if e.PID != pid || !strings.Contains(e.Hint, "process ") {
		t.Errorf("held by process %d, the error says %d: %s", pid, e.PID, e.Hint)
	}
	release()
	open(t, path)
}

// made is a warehouse file with some rows in it.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db := open(t, path)
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: "log", To: 1, Tables: []*table.Batch{{
		Name: "tracks", Columns: []table.Column{{Name: "id", Type: table.String}},
	}}}
	for range 10_000 {
		b.Tables[0].Rows = append(b.Tables[0].Rows, table.Row{Cells: []table.Cell{{Value: table.Text("some text in a row")}}})
	}
	if _, err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		kind   warehouse.Kind
	}{
		"overwritten head": {func(t *testing.T, path string) { overwrite(t, path, 0, bytes.Repeat([]byte("junk"), 2048)) }, warehouse.Corrupt},
		"overwritten catalogue": {func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			for at := int64(3 * 4096); at < info.Size(); at += 4096 {
				overwrite(t, path, at, []byte("junk junk junk junk"))
			}
		}, warehouse.Corrupt},
		"cut":        {func(t *testing.T, path string) { cut(t, path, 10_000) }, warehouse.Corrupt},
		"cut to 100": {func(t *testing.T, path string) { cut(t, path, 100) }, warehouse.Corrupt},
		"text":       {func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("this is no database\n", 1000))) }, warehouse.Corrupt},
		"newer":      {func(t *testing.T, path string) { newer(t, path) }, warehouse.Newer},
		"folder": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, warehouse.Unexpected},
	} {
		t.Run(name, func(t *testing.T) {
			path := made(t)
			c.damage(t, path)
			db, err := duckdb.Open(t.Context(), path, duckdb.Options{})
			if err == nil {
				t.Fatal("opened", db.Close())
			}
			t.Log(err)
			if got := warehouse.KindOf(err); got != c.kind {
				t.Errorf("kind %s, want %s: %v", got, c.kind, err)
			}
			if !strings.Contains(warehouse.HintOf(err), path) {
				t.Errorf("the hint does not name the file: %s", warehouse.HintOf(err))
			}
		})
	}
}

// newer puts a version into the bookkeeping that this program does not know.
func newer(t *testing.T, path string) {
	t.Helper()
	db := open(t, path)
	if _, err := db.SQL().Exec("UPDATE _firth.format SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(with, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, to int64) {
	t.Helper()
	if err := os.Truncate(path, to); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenPath(t *testing.T) {
	if _, err := duckdb.Open(t.Context(), filepath.Join(t.TempDir(), "a?b", "warehouse.duckdb"), duckdb.Options{}); warehouse.KindOf(err) != warehouse.BadName {
		t.Errorf("a path with a question mark: %v", err)
	}
	path := filepath.Join(t.TempDir(), "with space & ünicode", "warehouse.duckdb")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, path)
	if db.Catalog() != "warehouse" || db.Path() != path {
		t.Errorf("catalog %s, path %s", db.Catalog(), db.Path())
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	if _, err := duckdb.Open(ctx, path, duckdb.Options{}); err == nil {
		t.Fatal("opened under a context that had ended")
	}
	open(t, path)
}

func TestReservedSchema(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	for _, schema := range append(duckdb.ReservedSchemas(), "Lake", "") {
		_, err := db.Load(t.Context(), &warehouse.Batch{Source: "x", Schema: schema, Log: "log", To: 1})
		if warehouse.KindOf(err) != warehouse.BadName || warehouse.HintOf(err) == "" {
			t.Errorf("schema %q: %v", schema, err)
		}
	}
}
