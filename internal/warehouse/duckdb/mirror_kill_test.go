package duckdb_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// mirrorVar names the file that the test binary mirrors into when it is run again as another process.
const mirrorVar = "FIRTH_TEST_MIRROR"

const (
	mirrorRows  = 6000
	mirrorChunk = 1000
)

func killedMirror(mode warehouse.PublishMode) (warehouse.MirrorTable, *warehouse.Publication) {
	name := fmt.Sprintf("people_%d", mode)
	return warehouse.MirrorTable{Name: name, Schema: "company", Table: name},
		&warehouse.Publication{Mode: mode, Key: []string{"id"}, DeleteMissing: true, Deletes: 1, At: time.Now()}
}

var killedModes = []warehouse.PublishMode{warehouse.PublishReplace, warehouse.PublishUpsert}

// mirrorOnce stages generation gen of a table of a source, going on with what is staged, and publishes it.
func mirrorOnce(t *testing.T, m *duckdb.Mirrors, mode warehouse.PublishMode, gen int) error {
	columns := []vector.Column{{Name: "id", Type: vector.Type{Kind: vector.Int, Bits: 64}}, {Name: "gen", Type: vector.Type{Kind: vector.Int, Bits: 64}}}
	at, p := killedMirror(mode)
	o := warehouse.StageOptions{Run: fmt.Sprint(gen), Resume: true, Columns: columns, Key: p.Key}
	state, err := m.Mirror(t.Context(), at)
	if err != nil {
		return err
	}
	from := 0
	if state.Staged != nil && state.Staged.Run == o.Run && state.Staged.Progress != nil {
		if err := json.Unmarshal(state.Staged.Progress, &from); err != nil {
			return err
		}
		if int64(from) != state.Staged.Rows {
			return fmt.Errorf("%d rows are staged, the progress says %d", state.Staged.Rows, from)
		}
	}
	s, err := m.Stage(t.Context(), at, o)
	if err != nil {
		return err
	}
	c := vector.NewChunk(columns)
	for ; from < mirrorRows; from += mirrorChunk {
		c.Reset()
		for i := range mirrorChunk {
			c.Vectors[0].AppendNum(int64(from + i + gen))
			c.Vectors[1].AppendNum(int64(gen))
			c.Rows++
		}
		if _, err := s.Write(t.Context(), c, json.RawMessage(fmt.Sprint(from+mirrorChunk))); err != nil {
			return err
		}
	}
	p.State = json.RawMessage(fmt.Sprint(gen))
	_, err = s.Publish(t.Context(), p)
	return err
}

// TestMirrorChild is the other process of TestMirrorKill: it mirrors generation after generation and says what it published.
func TestMirrorChild(t *testing.T) {
	path := os.Getenv(mirrorVar)
	if path == "" {
		t.Skip("run by TestMirrorKill")
	}
	db, err := duckdb.Open(t.Context(), path, duckdb.Options{Memory: 256 << 20, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	m := db.Mirrors()
	at, _ := killedMirror(warehouse.PublishReplace)
	s, err := m.Mirror(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	gen := 0
	if s.State != nil {
		if err := json.Unmarshal(s.State, &gen); err != nil {
			t.Fatal(err)
		}
	}
	for gen++; ; gen++ {
		for _, mode := range killedModes {
			if err := mirrorOnce(t, m, mode, gen); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("\npublished %d %d\n", mode, gen)
		}
	}
}

// TestMirrorKill kills a process in the midst of staging, publishing and checkpoints. What is there afterwards is one generation as a whole,
// the one that the state names, and none older than was said to be published; and the next run ends as if nothing had been.
func TestMirrorKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	said := map[warehouse.PublishMode]int{}
	for range rounds {
		mirrorAndKill(t, path, time.Duration(rand.IntN(250))*time.Millisecond, said)
		db := open(t, path)
		for _, mode := range killedModes {
			wantGeneration(t, db, mode, said[mode])
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, path)
	for _, mode := range killedModes {
		if err := mirrorOnce(t, db.Mirrors(), mode, 1_000_000); err != nil {
			t.Fatal(err)
		}
		wantGeneration(t, db, mode, 1_000_000)
	}
}

func wantGeneration(t *testing.T, db *duckdb.DB, mode warehouse.PublishMode, said int) {
	t.Helper()
	at, _ := killedMirror(mode)
	s, err := db.Mirrors().Mirror(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if s.State == nil {
		if said > 0 || s.Columns != nil {
			t.Errorf("there is no state of %s, %d was published, columns %v", at.Name, said, s.Columns)
		}
		return
	}
	var gen, rows, ids, low, high, first int
	if err := json.Unmarshal(s.State, &gen); err != nil {
		t.Fatal(err)
	}
	if err := db.SQL().QueryRow(`SELECT count(*), count(DISTINCT id), min(gen), max(gen), min(id) FROM company."`+at.Table+`"`).Scan(&rows, &ids, &low, &high, &first); err != nil {
		t.Fatal(err)
	}
	if rows != mirrorRows || ids != rows || low != gen || high != gen || first != gen || gen < said {
		t.Errorf("%s: state %d, %d said; %d rows of %d ids from %d, generations %d to %d", at.Name, gen, said, rows, ids, first, low, high)
	}
}

func mirrorAndKill(t *testing.T, path string, after time.Duration, said map[warehouse.PublishMode]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMirrorChild$")
	cmd.Env = append(os.Environ(), mirrorVar+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := false
	for s := bufio.NewScanner(out); s.Scan(); {
		var mode warehouse.PublishMode
		var gen int
		switch n, _ := fmt.Sscanf(s.Text(), "published %d %d", &mode, &gen); {
		case n == 2:
			said[mode] = gen
			if !heard {
				heard = true
				time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			}
		case strings.Contains(s.Text(), "FAIL") || strings.Contains(s.Text(), ".go:"):
			t.Errorf("the other process: %s", s.Text())
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !heard || !errors.As(err, &exit) {
		t.Fatalf("the other process ended by itself: %v", err)
	}
}
