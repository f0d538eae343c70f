package iceberg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

const (
	faultLog   = "0b0e9fe0-0000-4000-8000-00000000000a"
	faultBatch = 20
)

// batchAt is a batch whose rows, users and discards tell where it is. Each adds a column, and some widen one.
func batchAt(at uint64) *warehouse.Batch {
	round := at / faultBatch
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "loaded_at", Type: table.Timestamp}, {Name: "n", Type: table.Integer}}
	if round >= 3 {
		columns[3].Type = table.Float
	}
	for i := range round % 40 {
		columns = append(columns, table.Column{Name: fmt.Sprintf("c%d", i), Type: table.String, Path: fmt.Sprintf("properties.c%d", i)})
	}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: faultLog, From: at, To: at + faultBatch, ReceivedThrough: int64(at)}
	for _, name := range []string{"tracks", "clicks"} {
		t := &table.Batch{Name: name, Columns: columns}
		for o := at; o < at+faultBatch; o++ {
			t.Rows = append(t.Rows, table.Row{Cells: []table.Cell{
				{Col: 0, Value: table.Text(strconv.FormatUint(o, 10))}, {Col: 1, Value: table.Time(int64(o))}, {Col: 3, Value: table.Int(int64(o))},
			}})
		}
		b.Tables = append(b.Tables, t)
	}
	b.Upserts = []*table.Batch{{Name: "users", Columns: columns[:3:3], Rows: []table.Row{
		{Cells: []table.Cell{{Col: 0, Value: table.Text("ann")}, {Col: 1, Value: table.Time(int64(at + faultBatch))}}},
		{Cells: []table.Cell{{Col: 0, Value: table.Text(fmt.Sprintf("user %d", round))}, {Col: 1, Value: table.Time(int64(at))}}},
	}}}
	b.Discards = []event.Discard{{TableName: "tracks", RowID: strconv.FormatUint(at, 10), Reason: "test", ReceivedAt: int64(at)}}
	return b
}

// wantWhole holds the tables to the position: every row below it is in once, and nothing else.
func (s *stand) wantWhole() uint64 {
	s.t.Helper()
	s.refresh()
	p, err := s.Positions(s.t.Context(), "production")
	if err != nil {
		s.t.Fatal(err)
	}
	at := p[faultLog].Next
	if at == 0 {
		return 0
	}
	var rows, distinct, clicks, sum, discards, users, ann uint64
	err = s.reader.QueryRowContext(s.t.Context(), `SELECT count(*), count(DISTINCT id), (SELECT count(DISTINCT id) FROM production.clicks), sum(n)::UBIGINT,
		(SELECT count(*) FROM production.firth_discards), (SELECT count(*) FROM production.users), (SELECT epoch_us(received_at) FROM production.users WHERE id = 'ann')
		FROM production.tracks`).Scan(&rows, &distinct, &clicks, &sum, &discards, &users, &ann)
	if err != nil {
		s.t.Fatal(err)
	}
	got := []uint64{rows, distinct, clicks, sum, discards, users, ann}
	if want := []uint64{at, at, at, at * (at - 1) / 2, at / faultBatch, at/faultBatch + 1, at}; !slices.Equal(got, want) {
		s.t.Errorf("at %d: rows, ids, clicks, sum, discards, users, time of ann are %v, want %v", at, got, want)
	}
	return at
}

// wantClean sweeps without a grace and looks for files that nothing names.
func (s *stand) wantClean() {
	s.t.Helper()
	s.o.Grace = 0
	for range 2 {
		if err := errors.Join(s.dropMade(s.t.Context(), "production"), s.sweep(s.t.Context())); err != nil {
			s.t.Fatal(err)
		}
	}
	left, err := s.unnamed(s.t.Context(), "production")
	if err != nil || len(left) > 0 {
		s.t.Errorf("left by nobody's name: %v, %v", left, err)
	}
	w, err := s.o.Workshop(s.t.Context()) // which sweeps what killed processes left
	if err == nil {
		err = errors.Join(w.Close(), s.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
	if err != nil || len(entries) > 0 {
		s.t.Errorf("left in the folder of workshops: %v, %v", entries, err)
	}
	s.o.Grace = time.Hour
}

// stepVar has a child of TestKillAtEachStep end at a step; dirVar is its folder.
const (
	stepVar = "FIRTH_TEST_ICEBERG_STEP"
	dirVar  = "FIRTH_TEST_ICEBERG_DIR"
)

// TestKillChild is what the children run: two loads, between which small files are put together.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(dirVar)
	if dir == "" {
		t.Skip("runs in children of TestKillAtEachStep")
	}
	last, err := strconv.Atoi(os.Getenv(stepVar))
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	d, _ := openIn(t, dir, disk.OS{}, func(string) error {
		if steps++; steps == last {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
	for range 2 {
		p, err := d.Positions(t.Context(), "production")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Load(t.Context(), batchAt(p[faultLog].Next)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKillAtEachStep kills processes at each step of loads, of a merge and of a sweep. Rows and positions agree whenever it was, and what
// is left lying is swept.
func TestKillAtEachStep(t *testing.T) {
	dir := t.TempDir()
	stride := 7
	if os.Getenv("FIRTH_LONG") != "" {
		stride = 1
	}
	killed := 0
	for step := 1; ; step += stride {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$", "-test.short")
		cmd.Env = append(os.Environ(), dirVar+"="+dir, stepVar+"="+strconv.Itoa(step))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
		s := newStand(t, dir)
		s.wantWhole()
		if err == nil {
			if killed < 10/stride {
				t.Errorf("%d kills: fewer than there are steps", killed)
			}
			s.wantClean()
			if s.wantWhole() == 0 {
				t.Error("nothing was loaded")
			}
			return
		}
		killed++
		if err := errors.Join(s.catalog.Close(), s.reader.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// fullFS has no room while it is full.
type fullFS struct {
	disk.FS
	full *atomic.Bool
}

type fullFile struct {
	disk.File
	full *atomic.Bool
}

func (f fullFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return fullFile{file, f.full}, nil
}

func (f fullFile) Write(b []byte) (int, error) {
	if f.full.Load() {
		return 0, &fs.PathError{Op: "write", Path: "it", Err: syscall.ENOSPC}
	}
	return f.File.Write(b)
}

// TestFullDisk: a load that finds no room says so, at whatever step, and goes on when there is some.
func TestFullDisk(t *testing.T) {
	full := &atomic.Bool{}
	at := ""
	s := newStandOn(t, t.TempDir(), fullFS{disk.OS{}, full}, func(name string) error {
		if at != "" && strings.HasPrefix(name, at) {
			full.Store(true)
		}
		return nil
	})
	for i, step := range []string{"write tracks", "write users", "snapshot clicks", "snapshot _firth", "commit"} {
		if i > 0 { // the first time the tables are made
			if _, err := s.Load(t.Context(), batchAt(s.wantWhole())); err != nil {
				t.Fatal(err)
			}
		}
		before := s.wantWhole()
		at = step
		_, err := s.Load(t.Context(), batchAt(before))
		if warehouse.KindOf(err) != warehouse.DiskFull || warehouse.HintOf(err) == "" {
			t.Errorf("%s: %v, want kind %s and a hint", step, err, warehouse.DiskFull)
		}
		at = ""
		full.Store(false)
		if now := s.wantWhole(); now != before {
			t.Errorf("%s: the position moved from %d to %d", step, before, now)
		}
	}
	s.wantClean()
}

// TestAnotherCommitter: what another process commits in the midst of a load is neither lost nor doubled.
func TestAnotherCommitter(t *testing.T) {
	dir := t.TempDir()
	other := newStand(t, dir)
	var meanwhile func()
	s := newStandOn(t, dir, disk.OS{}, func(name string) error {
		if fn := meanwhile; fn != nil && strings.HasPrefix(name, "commit") {
			meanwhile = nil
			fn()
		}
		return nil
	})
	load := func(b *warehouse.Batch) *warehouse.Result {
		t.Helper()
		r, err := s.Load(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	load(batchAt(0))
	// The other loads the same.
	meanwhile = func() {
		if _, err := other.Load(t.Context(), batchAt(faultBatch)); err != nil {
			t.Error(err)
		}
	}
	if r := load(batchAt(faultBatch)); !r.Duplicate {
		t.Errorf("result %+v of what another had loaded", r)
	}
	// The other puts files of a table together.
	meanwhile = func() {
		u, err := other.load(t.Context(), "production", "users")
		if err == nil {
			err = other.merge(context.Background(), u, u.files)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if r := load(batchAt(2 * faultBatch)); r.Duplicate || r.Rows["users"] != 2 {
		t.Errorf("result %+v", r)
	}
	if at := s.wantWhole(); at != 3*faultBatch {
		t.Errorf("position %d", at)
	}
	// The other never stops.
	var always func()
	always = func() {
		u, err := other.load(t.Context(), "production", "users")
		if err == nil {
			err = other.commit(t.Context(), "production", []change{{table: u, touch: true}})
		}
		if err != nil {
			t.Error(err)
		}
		meanwhile = always
	}
	meanwhile = always
	if _, err := s.Load(t.Context(), batchAt(3*faultBatch)); warehouse.KindOf(err) != warehouse.Busy || warehouse.HintOf(err) == "" {
		t.Errorf("%v, want kind %s and a hint", err, warehouse.Busy)
	}
	meanwhile = nil
	if at := s.wantWhole(); at != 3*faultBatch {
		t.Errorf("position %d", at)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantClean()
}
