package derive_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/derive"
	"firth/internal/disk"
	"firth/internal/lake"
	"firth/internal/lake/catalog"
	"firth/internal/query"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/iceberg"
)

const testLog = "0b0e9fe0-0000-4000-8000-000000000001"

// specs are tables of each sort: their plain queries are what users would write over lake.production.
func specs() []derive.Spec {
	all := []derive.Spec{
		{Name: "last", Merge: "SELECT user_id, event, ts, properties, _firth_offset FROM source_files QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY ts DESC, _firth_offset DESC) = 1"},
		{
			Name: "last_values", Seed: "SELECT user_id, properties->>'plan' AS plan, ts, _firth_offset FROM source_files",
			Merge: `SELECT user_id, arg_max_null(plan, (ts, _firth_offset)) AS plan, arg_max_null(ts, (ts, _firth_offset)) AS ts,
				arg_max_null(_firth_offset, (ts, _firth_offset)) AS _firth_offset FROM source_files GROUP BY user_id`,
		},
		{
			Name: "sums", Seed: "SELECT user_id, 1 AS n, (properties->>'amount')::DECIMAL(18, 2) AS amount, ts AS first, ts AS last FROM source_files WHERE event <> 'Event 3'",
			Merge: "SELECT user_id, sum(n) AS n, sum(amount) AS amount, min(first) AS first, max(last) AS last FROM source_files GROUP BY user_id",
		},
		{Name: "told_apart", Merge: "SELECT DISTINCT ON (user_id, event) * FROM source_files ORDER BY ts, _firth_offset"},
		{Name: "average", Merge: "SELECT user_id, avg((properties->>'amount')::DECIMAL(18, 2)) AS amount, count(*) AS n FROM source GROUP BY user_id"},
	}
	for i := range all {
		all[i].From, all[i].View, all[i].Every = "production", "production", time.Nanosecond
	}
	return all
}

func wanted() map[string]derive.Mode {
	return map[string]derive.Mode{"last": derive.Incremental, "last_values": derive.Incremental, "sums": derive.Incremental, "told_apart": derive.Incremental, "average": derive.Whole}
}

// rig is a lake of plain files with a warehouse and derived tables over it.
type rig struct {
	t    *testing.T
	dir  string
	db   *duckdb.DB
	shop *duckdb.Workshop
	rand *rand.Rand

	snap  *lake.Snapshot
	next  uint64
	files int

	keeper *derive.Keeper
	store  *store
	stop   func()
	step   atomic.Pointer[func(string) error]
	runs   atomic.Int64
}

// store is the real one, that can be made to fail behind a commit.
type store struct {
	*iceberg.Derived
	after atomic.Pointer[error]
}

func (s *store) Replace(ctx context.Context, name string, columns []derive.Column, set map[string]string, erase bool, statement func(map[string]string, string) (string, error)) error {
	err := s.Derived.Replace(ctx, name, columns, set, erase, statement)
	if e := s.after.Swap(nil); e != nil && err == nil {
		return *e
	}
	return err
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), rand: rand.New(rand.NewPCG(seed, 7)), next: 1, snap: &lake.Snapshot{Source: "production", Positions: map[string]uint64{}}}
	if err := os.MkdirAll(filepath.Join(r.dir, "lake", "production"), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	r.shop, err = r.workshop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end()
		if err := r.shop.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) workshop(ctx context.Context) (*duckdb.Workshop, error) {
	return duckdb.OpenWorkshop(ctx, duckdb.WorkshopOptions{Memory: 256 << 20, TempDir: filepath.Join(r.dir, "tmp"), Dirs: []string{r.dir}})
}

// begin opens the derived tables as a new process does.
func (r *rig) begin(specs []derive.Spec) {
	r.t.Helper()
	var err error
	r.db, err = duckdb.Open(r.t.Context(), filepath.Join(r.dir, "warehouse.duckdb"), duckdb.Options{LakeDir: filepath.Join(r.dir, "lake"), TempDir: filepath.Join(r.dir, "tmp"), Threads: 2, Memory: 256 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	files, err := catalog.NewFileIO(disk.OS{}, filepath.Join(r.dir, "lake"))
	if err != nil {
		r.t.Fatal(err)
	}
	step := func(name string) error {
		if f := r.step.Load(); f != nil {
			return (*f)(name)
		}
		return nil
	}
	c, err := catalog.Open(r.t.Context(), catalog.Options{Path: filepath.Join(r.dir, "catalog.db"), Name: "firth", Namespace: "lake", IO: files})
	if err != nil {
		r.t.Fatal(err)
	}
	below, err := files.Below("_tables")
	if err != nil {
		r.t.Fatal(err)
	}
	db, err := iceberg.Open(r.t.Context(), iceberg.Options{Name: "derived", Catalog: c, IO: below, Grace: time.Hour, Step: step, Workshop: r.workshop})
	if err != nil {
		r.t.Fatal(err)
	}
	r.store = &store{Derived: db.Derived()}
	r.keeper = derive.New(derive.Options{
		Specs: specs, Store: r.store, Events: r, Views: r.db, Now: time.Now, Log: slog.New(slog.DiscardHandler), Grace: time.Hour,
		NewID:  func() string { return "run" },
		Record: func(context.Context, *warehouse.Run) { r.runs.Add(1) },
		Latest: func(context.Context, string) (*lake.Snapshot, error) { return r.snap, nil },
		Gate: func(ctx context.Context, s *derive.Spec) (whole string, err error) {
			conn, err := r.db.SQL().Conn(ctx)
			if err != nil {
				return "", err
			}
			defer conn.Close()
			for _, text := range []string{s.Seed, s.Merge} {
				if text == "" {
					continue
				}
				if err := query.CheckDerived(ctx, conn, s.From, text); err != nil {
					return "", &derive.Fault{Text: err.Error(), Hint: "mend it"}
				}
			}
			return query.Mergeable(ctx, conn, s.Seed, s.Merge)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.keeper.Run(ctx) }()
	keeper := r.keeper
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		keeper.End()
		if err := errors.Join(c.Close(), r.db.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) end() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// Relation implements derive.Events.
func (r *rig) Relation(_ context.Context, snap *lake.Snapshot) (string, func(), error) {
	return "(" + duckdb.LakeSelect(false, names(snap)) + ")", func() {}, nil
}

func names(snap *lake.Snapshot) []string {
	out := make([]string, len(snap.Files))
	for i, f := range snap.Files {
		out[i] = f.Path
	}
	return out
}

// show brings lake.production to the snapshot.
func (r *rig) show() {
	r.t.Helper()
	ctx := r.t.Context()
	if err := r.keeper.Before(ctx, "production", r.snap); err != nil {
		r.t.Fatal(err)
	}
	r.equal("before the view changes")
	if err := r.db.SetLakeFiles(ctx, "production", names(r.snap)); err != nil {
		r.t.Fatal(err)
	}
	r.equal("after the view changed")
	if err := r.keeper.After(ctx, "production", r.snap); err != nil {
		r.t.Fatal(err)
	}
	r.equal("after all")
}

// write makes a file of rows.
func (r *rig) write(statement string) *lake.File {
	r.t.Helper()
	r.files++
	path := filepath.Join(r.dir, "lake", "production", fmt.Sprintf("%05d.parquet", r.files))
	if err := r.shop.Exec(r.t.Context(), "COPY ("+statement+") TO '"+path+"' (FORMAT parquet)"); err != nil {
		r.t.Fatal(err)
	}
	f := &lake.File{Path: path, MinLog: testLog, MaxLog: testLog, MaxReceived: int64(r.files)}
	if err := r.shop.One(r.t.Context(), "SELECT count(*), coalesce(min(_firth_offset), 0), coalesce(max(_firth_offset), 0) FROM read_parquet('"+path+"')", &f.Rows, &f.MinOffset, &f.MaxOffset); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// change makes another snapshot.
func (r *rig) change(files []*lake.File, removed bool) {
	next := &lake.Snapshot{Source: "production", ID: r.snap.ID + 1, Positions: map[string]uint64{testLog: r.next}, Files: files, Removed: r.snap.Removed}
	if removed {
		next.Removed++
	}
	for _, f := range files {
		next.Rows += f.Rows
	}
	r.snap = next
	r.show()
}

// flush takes a batch of events in; some message ids come again.
func (r *rig) flush() {
	rows := 1 + r.rand.IntN(40)
	statement := fmt.Sprintf(`SELECT 'm' || ((i * 7 + %[3]d) %% (%[1]d + %[2]d)) AS message_id, 'track' AS type,
		CASE WHEN hash(i, 'e', %[3]d) %% 11 <> 0 THEN 'Event ' || (hash(i, 'e', %[3]d) %% 4) END AS event,
		make_timestamptz(1767225600000000 + ((hash(i, 't', %[3]d) %% 25)::BIGINT + %[2]d // 60) * 60000000) AS ts, make_timestamptz(1767225600000000 + i) AS received_at,
		NULL::TIMESTAMPTZ AS sent_at, NULL::TIMESTAMPTZ AS original_timestamp,
		CASE WHEN hash(i, 'u', %[3]d) %% 9 <> 0 THEN 'user ' || (hash(i, 'u', %[3]d) %% 12) END AS user_id, 'a' AS anonymous_id,
		CASE WHEN hash(i, 'p', %[3]d) %% 3 = 0 THEN '{}' ELSE '{"amount": ' || (hash(i, 'a', %[3]d) %% 1000) / 4 || ', "plan": "p' || hash(i, 'x', %[3]d) %% 5 || '"}' END AS properties,
		'{}' AS context, '{}' AS og_payload, '%[4]s' AS _firth_log, i::BIGINT AS _firth_offset FROM range(%[2]d, %[1]d + %[2]d) AS r(i)`, rows, r.next, r.rand.IntN(1000), testLog)
	r.next += uint64(rows)
	r.change(append(append([]*lake.File{}, r.snap.Files...), r.write(statement)), false)
}

// rewrite puts some files together in one that has the rows for which a condition holds.
func (r *rig) rewrite(condition string, removes bool) {
	if len(r.snap.Files) < 2 {
		return
	}
	from := r.rand.IntN(len(r.snap.Files) - 1)
	to := from + 2 + r.rand.IntN(len(r.snap.Files)-from-1)
	part := &lake.Snapshot{Files: r.snap.Files[from:to]}
	rows := "(" + duckdb.LakeSelect(false, names(part)) + ")"
	file := r.write("SELECT * FROM " + rows + " WHERE " + strings.ReplaceAll(condition, "ROWS", rows))
	files := append(append([]*lake.File{}, r.snap.Files[:from]...), r.snap.Files[to:]...)
	r.change(append(files, file), removes)
}

// equal compares every derived table that readers see with its plain query, both in one transaction.
func (r *rig) equal(when string) {
	r.t.Helper()
	for _, s := range specs() {
		if err := r.compare(s); err != nil && !strings.Contains(err.Error(), "does not exist") {
			r.t.Fatalf("%s: %s: %v", when, s.Name, err)
		}
	}
}

func (r *rig) compare(s derive.Spec) error {
	over := func(text string) string { return "WITH source AS (SELECT * FROM source_files) " + text }
	plain := "WITH source_files AS (FROM lake.production) SELECT * FROM (" + over(s.Merge) + ")"
	if s.Seed != "" {
		plain = "WITH source_files AS (WITH source_files AS (FROM lake.production) " + s.Seed + ") SELECT * FROM (" + over(s.Merge) + ")"
	}
	var n int64
	err := r.db.SQL().QueryRowContext(r.t.Context(), "WITH a AS MATERIALIZED (FROM lake."+s.Name+"), b AS MATERIALIZED ("+plain+`)
		SELECT (SELECT count(*) FROM (FROM a EXCEPT ALL FROM b)) + (SELECT count(*) FROM (FROM b EXCEPT ALL FROM a))`).Scan(&n)
	if err == nil && n != 0 {
		err = fmt.Errorf("%d rows differ from the plain query at snapshot %d", n, r.snap.ID)
	}
	return err
}

// settled waits until all tables are made for the snapshot, and compares all the while.
func (r *rig) settled() {
	r.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		r.equal("while tables are made")
		made := 0
		for _, s := range specs() {
			props, err := r.store.Properties(r.t.Context(), s.Name)
			if err != nil {
				r.t.Fatal(err)
			}
			if props["firth.derived.snapshot"] == fmt.Sprint(r.snap.ID) {
				made++
			}
		}
		if made == len(specs()) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the tables are not made: %+v", r.keeper.States())
		}
	}
}

func TestDerivedTablesEqualThePlainQueryAtEveryMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	t.Logf("seed %d", seed)
	r := newRig(t, seed)
	r.begin(specs())
	r.flush()
	r.settled()
	for _, s := range r.keeper.States() {
		if s.Mode != wanted()[s.Name] {
			t.Errorf("%s is kept %s (%s), want %s", s.Name, s.Mode, s.Why, wanted()[s.Name])
		}
	}
	steps := 16
	if os.Getenv("FIRTH_LONG") != "" {
		steps = 1000
	}
	for i := range steps {
		switch n := r.rand.IntN(20); {
		case n < 9:
			r.flush()
		case n < 12: // a merge that only writes anew
			r.rewrite("true", false)
		case n < 14: // a merge that finds duplicates
			r.rewrite("_firth_offset IN (SELECT min(_firth_offset) FROM ROWS GROUP BY message_id)", true)
		case n < 15: // a purge
			r.rewrite(fmt.Sprintf("user_id IS DISTINCT FROM 'user %d'", r.rand.IntN(12)), true)
		case n < 16 && len(r.snap.Files) > 3: // retention
			r.change(r.snap.Files[1:], true)
		case n < 17: // a restart
			r.end()
			r.begin(specs())
			r.show()
		case n < 18: // a commit fails at some step
			failing := fmt.Errorf("the disk is gone")
			left := atomic.Int64{}
			left.Store(r.rand.Int64N(12))
			step := func(string) error {
				if left.Add(-1) < 0 {
					return failing
				}
				return nil
			}
			r.step.Store(&step)
			r.flush()
			r.step.Store(nil)
		case n < 19: // a commit takes place, and nobody hears of it
			lost := fmt.Errorf("the answer is lost")
			r.store.after.Store(&lost)
			r.flush()
		default:
			r.store.after.Store(nil) // no commit may have come to hear of it
			if _, err := r.keeper.Remake(t.Context(), "production"); err != nil {
				t.Fatal(err)
			}
		}
		r.equal(fmt.Sprintf("after step %d", i))
	}
	r.end()
	r.begin(specs())
	r.show()
	r.settled()
	if r.runs.Load() == 0 {
		t.Error("no run was recorded")
	}
}

func TestRemakeLeavesNothing(t *testing.T) {
	r := newRig(t, 1)
	r.begin(specs())
	r.flush()
	for range 3 {
		r.flush()
	}
	r.settled()
	if !r.holds("user 3") {
		t.Fatal("no file of a derived table has the person: the test is of no use")
	}
	person := "user_id IS DISTINCT FROM 'user 3'"
	all := &lake.Snapshot{Files: r.snap.Files}
	kept := r.write("SELECT * FROM (" + duckdb.LakeSelect(false, names(all)) + ") WHERE " + person)
	r.change([]*lake.File{kept}, true)
	if _, err := r.keeper.Remake(t.Context(), "production"); err != nil {
		t.Fatal(err)
	}
	r.equal("after the purge")
	if r.holds("user 3") {
		t.Error("a file of a derived table still has the person")
	}
	r.end()
	r.begin(specs()[:1]) // the others are not configured any more
	deadline := time.Now().Add(time.Minute)
	for {
		props, err := r.store.Properties(t.Context(), "sums")
		if err != nil {
			t.Fatal(err)
		}
		if props == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a table that is not configured any more was not dropped")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// holds says whether a Parquet file below the derived tables has a row of the user; dictionaries are packed, so that bytes do not tell.
func (r *rig) holds(user string) bool {
	r.t.Helper()
	found := false
	err := filepath.Walk(filepath.Join(r.dir, "lake", "_tables"), func(path string, _ os.FileInfo, err error) error {
		if err != nil || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		var n sql.NullInt64
		if err := r.shop.One(r.t.Context(), "SELECT count(*) FROM read_parquet('"+path+"') WHERE user_id = '"+user+"'", &n); err != nil {
			return err
		}
		found = found || n.Int64 > 0
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}
