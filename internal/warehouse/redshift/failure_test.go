package redshift

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/event"
	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/test/server"
)

const journal = "0b0e9fe0-0000-4000-8000-000000000001"

// batchOf is a batch of n offsets with rows in two tables, users and the discards.
func batchOf(from, n uint64) *warehouse.Batch {
	standard := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "uuid_ts", Type: table.Timestamp}}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: journal, From: from, To: from + n, ReceivedThrough: event.NoTime}
	for _, name := range []string{"clicks", "opens", "users"} {
		t := &table.Batch{Name: name, Columns: append(standard[:3:3], table.Column{Name: "s", Type: table.String, Path: "properties.s"}, table.Column{Name: "n", Type: table.Integer, Path: "properties.n"})}
		for o := from; o < from+n; o++ {
			t.Rows = append(t.Rows, table.Row{Offset: o, Cells: []table.Cell{
				{Col: 0, Value: table.Text(fmt.Sprintf("id-%06d", o))}, {Col: 1, Value: table.Time(1_700_000_000_000_000 + int64(o))},
				{Col: 3, Value: table.Text("a \"text\",\nwith a line end")}, {Col: 4, Value: table.Int(int64(o))},
			}})
		}
		if name == "users" {
			b.Upserts = append(b.Upserts, t)
		} else {
			b.Tables = append(b.Tables, t)
		}
	}
	b.Discards = []event.Discard{{TableName: "clicks", ColumnName: "n", Value: "x", Reason: "test", RowID: fmt.Sprintf("id-%06d", from), ReceivedAt: event.NoTime}}
	return b
}

// exactly holds the tables to n offsets in batches of ten.
func (p *place) exactly(n uint64) {
	p.t.Helper()
	got := p.query(`SELECT concat_ws(' ', (SELECT count(*) FROM production.clicks), (SELECT count(*) FROM production.opens), (SELECT count(DISTINCT id) FROM production.clicks),
		(SELECT count(*) FROM production.users), (SELECT count(*) FROM production.firth_discards), (SELECT max(position) FROM _firth.positions))`)
	if want := fmt.Sprint(n, n, n, n, n/10, n); got != want {
		p.t.Errorf("clicks, opens, ids, users, discards and position are %s, want %s", got, want)
	}
	if n := p.query("SELECT count(*) FROM pg_class WHERE relname LIKE 'firth_stage%'"); n != "0" {
		p.t.Errorf("%s staging tables are left", n)
	}
}

func mustLoad(t *testing.T, d *DB, b *warehouse.Batch) *warehouse.Result {
	t.Helper()
	r, err := d.Load(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEachStatementFails fails every statement of a load once, by an error of the server and by a cut of the connection: before it is
// said, and after it was carried out but before anybody knows. The next load works by itself, nothing is lost, doubled or left.
func TestEachStatementFails(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	mustLoad(t, d, batchOf(0, 10))
	var said []string
	p.hook(func(s string) error { said = append(said, s); return nil })
	mustLoad(t, d, batchOf(10, 10))
	p.hook(nil)
	if len(said) < 20 {
		t.Fatalf("a load says only %d statements", len(said))
	}
	next := uint64(20)
	for i := range said {
		for _, how := range []string{"refused", "cut"} {
			count := 0
			p.hook(func(string) error {
				if count++; count != i+1 {
					return nil
				}
				if how == "refused" {
					return &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: "Serializable isolation violation on table - 1023"}
				}
				if err := d.conn.Close(context.Background()); err != nil {
					t.Error(err)
				}
				return nil
			})
			b := batchOf(next, 10)
			_, err := d.Load(context.Background(), b)
			p.hook(nil)
			if kind := warehouse.KindOf(err); err == nil && said[i] != "ROLLBACK" || err != nil && kind != warehouse.Busy && kind != warehouse.Down {
				t.Errorf("%s at %.60s: %v, kind %s", how, said[i], err, kind)
			}
			p.noParts()
			mustLoad(t, d, b)
			if next += 10; i%10 == 0 || i == len(said)-1 {
				p.exactly(next)
			}
			p.noParts()
		}
	}
	p.exactly(next)
}

// TestCutAtCommit loses the answer to a COMMIT that was carried out.
func TestCutAtCommit(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	mustLoad(t, d, batchOf(0, 10))
	commits := 0
	inner := d.dial
	d.hangUp()
	d.dial = func(ctx context.Context) (wire, error) {
		w, err := inner(ctx)
		return &forgetful{w, &commits}, err
	}
	b := batchOf(10, 10)
	if _, err := d.Load(context.Background(), b); warehouse.KindOf(err) != warehouse.Down {
		t.Fatalf("the answer was lost: %v", err)
	}
	if r := mustLoad(t, d, b); !r.Duplicate {
		t.Errorf("what was in came in again: %+v", r)
	}
	p.exactly(20)
	p.noParts()
}

// forgetful carries out the first COMMIT and loses the answer.
type forgetful struct {
	wire
	commits *int
}

func (w *forgetful) Exec(ctx context.Context, statement string) (*reply, error) {
	r, err := w.wire.Exec(ctx, statement)
	if statement == "COMMIT" && err == nil {
		if *w.commits++; *w.commits == 1 {
			return nil, errors.Join(net.ErrClosed, w.Close(ctx))
		}
	}
	return r, err
}

// TestRealCuts cuts the connection to the server by a proxy, after ever more bytes.
func TestRealCuts(t *testing.T) {
	p := newPlace(t)
	proxy := server.Fault(t, p.pg.Addr())
	p.url = server.Via(p.url, proxy.Addr)
	d := p.open(Options{})
	mustLoad(t, d, batchOf(0, 10))
	next, failed := uint64(10), 0
	for bytes := int64(100); bytes < 40_000; bytes = bytes*3/2 + 1 {
		proxy.CutAfter(bytes)
		b := batchOf(next, 10)
		if _, err := d.Load(context.Background(), b); err != nil {
			failed++
			if k := warehouse.KindOf(err); k != warehouse.Down {
				t.Errorf("cut after %d bytes: %v, kind %s", bytes, err, k)
			}
		}
		proxy.CutAfter(-1)
		mustLoad(t, d, b)
		next += 10
		p.noParts()
	}
	if failed < 5 {
		t.Errorf("only %d loads were cut", failed)
	}
	p.exactly(next)
}

// TestStoreFails has the store answer 503, refuse connections, and be read only at each request of a load.
func TestStoreFails(t *testing.T) {
	p := newPlace(t)
	to, err := url.Parse(p.store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var fails atomic.Pointer[func(r *http.Request) bool]
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := fails.Load(); f != nil && (*f)(r) {
			w.WriteHeader(http.StatusForbidden) // not tried again, so that the test is quick
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	d := p.open(Options{Staging: strings.Replace(p.store.URL("stage"), p.store.Endpoint, proxy.URL, 1)})
	next := uint64(0)
	for at := range 8 {
		count := 0
		f := func(r *http.Request) bool {
			if r.Method == http.MethodPut {
				count++
			}
			return r.Method == http.MethodPut && count == at+1
		}
		fails.Store(&f)
		b := batchOf(next, 10)
		if _, err := d.Load(context.Background(), b); warehouse.KindOf(err) != warehouse.Unstaged || !strings.Contains(warehouse.HintOf(err), "s3:PutObject") {
			t.Errorf("write %d was refused: %v, hint %q", at, err, warehouse.HintOf(err))
		}
		fails.Store(nil)
		p.noParts()
		mustLoad(t, d, b)
		next += 10
	}
	// Parts that cannot be removed fail no load, and go at the next chance.
	f := func(r *http.Request) bool { return r.Method == http.MethodDelete }
	fails.Store(&f)
	mustLoad(t, d, batchOf(next, 10))
	if len(p.store.Objects()) == 0 {
		t.Fatal("the parts were removed all the same")
	}
	if err := d.Tend(context.Background()); warehouse.KindOf(err) == "" || err == nil {
		t.Errorf("tended though nothing can be removed: %v", err)
	}
	fails.Store(nil)
	if err := d.Tend(context.Background()); err != nil {
		t.Error(err)
	}
	p.noParts()
	p.exactly(next + 10)
}

// TestKilledLoad leaves the parts of a process that is gone: they go when they are old, those of others stay.
func TestKilledLoad(t *testing.T) {
	p := newPlace(t)
	now := time.Now()
	d := p.open(Options{Now: func() time.Time { return now }})
	store, err := object.Open(t.Context(), p.store.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"stage/" + d.instance + "/20240101T000000-x/0000.manifest", "stage/other/20240101T000000-x/0000.manifest"} {
		if err := store.Put(t.Context(), key, strings.NewReader("{}"), 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Tend(t.Context()); err != nil || len(p.store.Objects()) != 2 {
		t.Errorf("fresh parts were removed, or %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(staleAfter + time.Minute)
	d = p.open(Options{Now: func() time.Time { return now }})
	if got := p.store.Objects(); len(got) != 1 || !strings.Contains(got[0], "other") {
		t.Errorf("left are %q", got)
	}
	mustLoad(t, d, batchOf(0, 10))
	p.exactly(10)
}

// TestCutShort has a part come back shorter than it was: COPY would not notice, the count does.
func TestCutShort(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	p.hook(func(s string) error {
		if !strings.HasPrefix(s, "COPY ") {
			return nil
		}
		for _, key := range p.store.Objects() {
			if strings.HasSuffix(key, "0000.manifest") {
				return os.WriteFile(filepath.Join(p.store.Dir, key), []byte(`{"entries":[]}`), 0o644)
			}
		}
		return nil
	})
	_, err := d.Load(context.Background(), batchOf(0, 10))
	if warehouse.KindOf(err) != warehouse.Unstaged || !strings.Contains(err.Error(), "0 of 10 rows") {
		t.Errorf("rows are missing: %v", err)
	}
	p.hook(nil)
	p.noParts()
	mustLoad(t, d, batchOf(0, 10))
	p.exactly(10)
}

// TestTwoLoaders has two loaders offer the same batches at once: each batch is in once.
func TestTwoLoaders(t *testing.T) {
	p := newPlace(t)
	one, two := p.open(Options{}), p.open(Options{})
	mustLoad(t, one, batchOf(0, 10))
	for next := uint64(10); next < 60; next += 10 {
		errs := make(chan error, 2)
		for _, d := range []*DB{one, two} {
			go func() {
				_, err := d.Load(context.Background(), batchOf(next, 10))
				errs <- err
			}()
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Fatal(err)
		}
	}
	p.exactly(60)
	p.noParts()
}

// TestRebuildKeepsWhatWasThere swaps a table that was taken over: rows of before stay, and what they lose with a column that is made again
// is listed.
func TestRebuildKeepsWhatWasThere(t *testing.T) {
	p := newPlace(t)
	p.do("CREATE SCHEMA production", "CREATE TABLE production.clicks (id varchar(64), received_at timestamp, n varchar(8), theirs int)",
		"INSERT INTO production.clicks VALUES ('old', '2020-01-01', 'seven', 1), (NULL, NULL, NULL, 2)")
	d := p.open(Options{})
	b := batchOf(0, 10)
	b.Tables, b.Upserts, b.Discards = b.Tables[:1], nil, nil
	b.Tables[0].Columns[4].Type = table.String
	for i := range b.Tables[0].Rows {
		b.Tables[0].Rows[i].Cells[3].Value = table.Text("7")
	}
	mustLoad(t, d, b)
	again := batchOf(0, 10)
	again.Tables, again.Upserts, again.Discards = again.Tables[:1], nil, nil
	again.Source, again.Schema = "production#rebuild", "_firth_rebuild_production"
	mustLoad(t, d, again)
	swap := &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: again.Source, RebuildSchema: again.Schema, Tables: []string{"clicks"}}
	if _, err := d.Swap(t.Context(), swap); err != nil {
		t.Fatal(err)
	}
	if got := p.query("SELECT concat_ws(' ', count(*), count(n), sum(n), sum(theirs), count(DISTINCT id)) FROM production.clicks"); got != "12 10 45 3 11" {
		t.Errorf("rows, values, their sum, that of the others' and ids are %s", got)
	}
	if got := p.query("SELECT string_agg(concat_ws(' ', table_name, column_name, value, reason, row_id), ';') FROM production.firth_discards"); got != "clicks n seven does_not_fit old" {
		t.Errorf("listed: %s", got)
	}
	if got := p.query("SELECT adopted_through FROM _firth.tables WHERE source = 'production' AND table_name = 'clicks'"); !strings.HasPrefix(got, "2020-01-01") {
		t.Errorf("taken over through %s", got)
	}
}

// TestSaidOnce: an error that says itself what was being done is not told so twice, and the staging store of the policies is the real one.
func TestSaidOnce(t *testing.T) {
	d := &DB{}
	err := d.fail("open warehouse", "rs", &warehouse.Error{Op: "open warehouse", Object: "rs", Kind: warehouse.Newer, Err: errors.New("it is newer")})
	if err.Error() != "open warehouse rs: it is newer" {
		t.Error(err)
	}
	s, err := SetupStaged("redshift://ann:hush@db/dev", "s3://staged/firth?region=eu-central-1", nil)
	if err != nil || !strings.Contains(s, "arn:aws:s3:::staged/firth/*") || strings.Contains(s, "<bucket>") || strings.Contains(s, "hush") {
		t.Errorf("%v: %s", err, s)
	}
	for _, raw := range []string{"redshift://ann@db/dev?password=hush&sslmode=none", "redshift://ann:hush@db/dev?sslmode=hush"} {
		if _, err := address(raw, Options{}); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
