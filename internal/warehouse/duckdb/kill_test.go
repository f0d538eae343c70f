package duckdb_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

const (
	killLog   = "log"
	killBatch = 500
)

// killedBatch adds a column now and then, so that kills hit changes of the schema as well.
func killedBatch(at uint64) *warehouse.Batch {
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "n", Type: table.Integer}}
	for i := range at / killBatch / 4 % 40 {
		columns = append(columns, table.Column{Name: fmt.Sprintf("c%d", i), Type: table.String})
	}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: killLog, From: at, To: at + killBatch}
	for _, name := range []string{"tracks", "clicks"} {
		t := &table.Batch{Name: name, Columns: columns}
		for o := at; o < at+killBatch; o++ {
			t.Rows = append(t.Rows, table.Row{Cells: []table.Cell{{Col: 0, Value: table.Text(strconv.FormatUint(o, 10))}, {Col: 1, Value: table.Int(int64(o))}}})
		}
		b.Tables = append(b.Tables, t)
	}
	b.Upserts = []*table.Batch{{Name: "users", Columns: columns[:2], Rows: []table.Row{{Cells: []table.Cell{
		{Col: 0, Value: table.Text("ann")}, {Col: 1, Value: table.Int(int64(at + killBatch))},
	}}}}}
	return b
}

// TestKill kills a process in the midst of loads and checkpoints, again and again. What is there afterwards is what the position
// says, and no less than was in the file after the last checkpoint that ended.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		said := loadAndKill(t, path, time.Duration(rand.IntN(300))*time.Millisecond)
		db := open(t, path)
		var rows, distinct, clicks, user uint64
		if said > 0 {
			if err := db.SQL().QueryRow(`SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM production.clicks), (SELECT max(n) FROM production.users)
				FROM production.tracks`).Scan(&rows, &distinct, &clicks, &user); err != nil {
				t.Fatal(err)
			}
		}
		p, err := db.Positions(t.Context(), "production")
		if err != nil {
			t.Fatal(err)
		}
		at := p[killLog].Next
		if said > 0 && (rows != at || distinct != at || clicks != at || user != at) || at < said {
			t.Errorf("position %d, %d said to be in; %d rows, %d distinct, %d clicks, user at %d", at, said, rows, distinct, clicks, user)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// loadAndKill returns the last position that the process said to have loaded.
func loadAndKill(t *testing.T, path string, after time.Duration) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+path, loadVar+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said uint64
	killed := false
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, err := strconv.ParseUint(strings.TrimSpace(s.Text()), 10, 64); err == nil {
			said = n
		}
		if said > 0 && !killed {
			killed = true
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	return said
}
