package iceberg

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// mirrorVar names the folder that the test binary mirrors into when it is run again as another process.
const mirrorVar = "FIRTH_TEST_ICEBERG_MIRROR"

const (
	killRows  = 900
	killChunk = 300
)

func killedMirror(mode warehouse.PublishMode) (warehouse.MirrorTable, *warehouse.Publication) {
	name := fmt.Sprintf("people_%d", mode)
	return warehouse.MirrorTable{Name: name, Schema: "company", Table: name},
		&warehouse.Publication{Mode: mode, Key: []string{"id"}, DeleteMissing: true, Deletes: 1, At: time.Now()}
}

func killedModes() []warehouse.PublishMode {
	return []warehouse.PublishMode{warehouse.PublishReplace, warehouse.PublishUpsert}
}

// mirrorOnce stages generation gen of a table of a source, going on with what is staged, and publishes it with a reject.
func mirrorOnce(t *testing.T, m *Mirrors, mode warehouse.PublishMode, gen int) error {
	number := vector.Type{Kind: vector.Int, Bits: 64}
	columns := []vector.Column{{Name: "id", Type: number}, {Name: "gen", Type: number}}
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
	for ; from < killRows; from += killChunk {
		c.Reset()
		for i := range killChunk {
			c.Vectors[0].AppendNum(int64(from + i + gen))
			c.Vectors[1].AppendNum(int64(gen))
			c.Rows++
		}
		if _, err := s.Write(t.Context(), c, json.RawMessage(fmt.Sprint(from+killChunk))); err != nil {
			return err
		}
		if _, err := m.Mirror(t.Context(), at); err != nil { // which makes a file of what waits
			return err
		}
	}
	p.State = json.RawMessage(fmt.Sprint(gen))
	p.Rejects = []warehouse.MirrorReject{{Key: fmt.Sprint(gen), Column: "x", Value: fmt.Sprint(gen), Reason: "test", At: p.At}}
	_, err = s.Publish(t.Context(), p)
	return err
}

// TestMirrorChild is the other process of TestMirrorKill: it mirrors generation after generation and says what it published.
func TestMirrorChild(t *testing.T) {
	dir := os.Getenv(mirrorVar)
	if dir == "" {
		t.Skip("run by TestMirrorKill")
	}
	m := mirrorsOf(newStandOn(t, dir, disk.OS{}, nil))
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
		for _, mode := range killedModes() {
			if err := mirrorOnce(t, m, mode, gen); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("\npublished %d %d\n", mode, gen)
		}
	}
}

// TestMirrorKill kills a process in the midst of staging, publishing and commits. What is there afterwards is one generation as a whole, rows,
// rejects and state, and none older than was said to be published; and the next run ends as if nothing had been.
func TestMirrorKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 2
	if os.Getenv("FIRTH_LONG") != "" {
		rounds = 20
	}
	said := map[warehouse.PublishMode]int{}
	for range rounds {
		mirrorAndKill(t, dir, time.Duration(rand.IntN(900))*time.Millisecond, said)
		s := newStand(t, dir)
		for _, mode := range killedModes() {
			wantGeneration(t, s, mode, said[mode])
		}
		if err := s.catalog.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := newStand(t, dir)
	m := mirrorsOf(s)
	for _, mode := range killedModes() {
		if err := mirrorOnce(t, m, mode, 1_000_000); err != nil {
			t.Fatal(err)
		}
		s.refresh()
		wantGeneration(t, s, mode, 1_000_000)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(m.db.o.Stages); err != nil || len(left) > 0 {
		t.Errorf("stages are left: %v, %v", left, err)
	}
}

func wantGeneration(t *testing.T, s *stand, mode warehouse.PublishMode, said int) {
	t.Helper()
	at, _ := killedMirror(mode)
	p, err := s.Mirrors().find(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if p.record.State == nil {
		if said > 0 || p.main != nil {
			t.Errorf("there is no state of %s, %d was published, table %v", at.Name, said, p.main)
		}
		return
	}
	var gen, rows, ids, low, high, first, rejects int
	if err := json.Unmarshal(p.record.State, &gen); err != nil {
		t.Fatal(err)
	}
	if err := s.reader.QueryRow(`SELECT count(*), count(DISTINCT id), min(gen), max(gen), min(id), (SELECT max(key::INT) FROM company."`+at.Table+`__rejects") FROM company."`+at.Table+`"`).
		Scan(&rows, &ids, &low, &high, &first, &rejects); err != nil {
		t.Fatal(err)
	}
	if rows != killRows || ids != rows || low != gen || high != gen || first != gen || rejects != gen || gen < said {
		t.Errorf("%s: state %d, %d said; %d rows of %d ids from %d, generations %d to %d, rejects of %d", at.Name, gen, said, rows, ids, first, low, high, rejects)
	}
}

func mirrorAndKill(t *testing.T, dir string, after time.Duration, said map[warehouse.PublishMode]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMirrorChild$")
	cmd.Env = append(os.Environ(), mirrorVar+"="+dir)
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
