package warehousetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorShapes = []mirrorBehaviour{
	{"columns while staging", testMirrorAddColumns},
	{"columns at publishing", testMirrorGrow},
	{"a column is gone", testMirrorColumnGone},
	{"a thousand mirrored columns", testMirrorWide},
	{"mirrored names", testMirrorNames},
	{"long names", testMirrorLongNames},
	{"no schema", testMirrorSchemas},
}

var mirrorTroubles = []mirrorBehaviour{
	{"table of somebody else", testMirrorForeign},
	{"table of another mirror", testMirrorOther},
	{"table was dropped", testMirrorDropped},
	{"indexes and views stay", testMirrorUserObjects},
	{"readers see whole tables", testMirrorReaders},
	{"cancelled anywhere", testMirrorCancelled},
	{"written by several", testMirrorWriters},
}

func testMirrorAddColumns(t *testing.T, b *mirrorBench) {
	small := columnOf("n", vector.Type{Kind: vector.Int, Bits: 16})
	s := b.stage([]vector.Column{persons()[0], small, columnOf("later", vector.Type{})})
	b.write(s, chunkOf([]vector.Column{persons()[0], small}, []any{1, 7}))
	wide := columnOf("n", vector.Type{Kind: vector.Decimal, Width: 20, Scale: 2})
	if err := s.AddColumns(t.Context(), []vector.Column{columnOf("name", text()), wide, columnOf("later", text())}); err != nil {
		t.Fatal(err)
	}
	columns := []vector.Column{persons()[0], wide, columnOf("later", text()), persons()[1]}
	b.write(s, chunkOf(columns, []any{2, "123456789012345678.25", "x", "b"}))
	// A writer that has not heard of the new columns goes on for a while.
	b.write(s, chunkOf([]vector.Column{persons()[0], small}, []any{3, 9}))
	if staged := b.state().Staged; staged == nil || len(staged.Columns) != 4 || staged.Rows != 3 {
		t.Errorf("staged: %+v", staged)
	}
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(columns, "1|7.00|~|~", "2|123456789012345678.25|x|b", "3|9.00|~|~")
	if c := b.state().Columns; len(c) != 4 || !slices.ContainsFunc(c, func(c vector.Column) bool { return c.Name == "n" && c.Type.Equal(wide.Type) }) {
		t.Errorf("columns: %v", c)
	}
}

func testMirrorGrow(t *testing.T, b *mirrorBench) {
	for _, p := range []warehouse.Publication{
		{Mode: warehouse.PublishUpsert, Key: []string{"id"}},
		{Mode: warehouse.PublishAppend, Cursor: "id"},
	} {
		b.at.Table = fmt.Sprintf("grown_%d", p.Mode)
		b.at.Name = b.at.Table
		steps := []struct {
			t    vector.Type
			v    any
			want []string
		}{
			{vector.Type{}, nil, []string{"1|~"}},
			{vector.Type{Kind: vector.Int, Bits: 16}, 5, []string{"1|~", "2|5"}},
			{vector.Type{Kind: vector.Int, Bits: 64}, 1 << 40, []string{"1|~", "2|5", "3|1099511627776"}},
			{vector.Type{Kind: vector.Decimal, Width: 22, Scale: 2}, "1.25", []string{"1|~", "2|5.00", "3|1099511627776.00", "4|1.25"}},
			{text(), "x", []string{"1|~", "2|5.00", "3|1099511627776.00", "4|1.25", "5|x"}},
			{vector.Type{Kind: vector.Int, Bits: 32}, 7, []string{"1|~", "2|5.00", "3|1099511627776.00", "4|1.25", "5|x", "6|7"}},
		}
		for i, s := range steps {
			columns := []vector.Column{persons()[0], columnOf("v", s.t)}
			p.From = from(int64(i + 1))
			b.publish(p, columns, []any{i + 1, s.v})
			if s.t.Kind == vector.Null {
				continue
			}
			as := columnOf("v", s.t)
			if i == len(steps)-1 {
				as.Type = text()
			}
			b.want([]vector.Column{persons()[0], as}, s.want...)
		}
		columns := append(persons(), columnOf("v", text()))
		b.publish(p, columns, []any{7, "g", "y"})
		if rows := b.read(b.table(""), b.Quote("id")+" > 5", columns...); !slices.Equal(rows, []string{"6|~|7", "7|g|y"}) {
			t.Errorf("after a column was added: %q", rows)
		}
		if c := b.state().Columns; len(c) != 3 {
			t.Errorf("columns: %v", c)
		}
	}
}

func testMirrorColumnGone(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	columns := append(persons(), columnOf("v", number()))
	b.publish(p, columns, []any{1, "a", 1}, []any{2, "b", 2})
	b.publish(p, persons(), []any{1, "x"}, []any{3, "c"})
	b.want(columns, "1|x|~", "2|b|2", "3|c|~")
	if c := b.state().Columns; len(c) != 3 {
		t.Errorf("columns: %v", c)
	}
}

func testMirrorWide(t *testing.T, b *mirrorBench) {
	columns := persons()[:1]
	row, row2 := []any{1}, []any{2}
	for i := range 999 {
		columns = append(columns, columnOf(fmt.Sprintf("c%03d", i), []vector.Type{number(), text(), {Kind: vector.Float, Bits: 64}}[i%3]))
		row = append(row, []any{i, fmt.Sprint(i), float64(i)}[i%3])
		row2 = append(row2, nil)
	}
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	b.publish(p, columns, row, row2)
	row2[899] = "odd"
	got := b.publish(p, columns[:900], row[:900], row2[:900])
	b.wantDone(got, 0, 1, 0, 1)
	row[1] = 77
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, columns[:998], row[:998], row2[:998])
	got1 := b.read(b.table(""), b.Quote("id")+" = 1", columns[:998]...)
	if len(got1) != 1 || !strings.HasPrefix(got1[0], "1|77|1|2|3|") || strings.Count(got1[0], "~") != 0 {
		t.Errorf("%.100q", got1)
	}
}

func testMirrorNames(t *testing.T, b *mirrorBench) {
	b.at = warehouse.MirrorTable{Name: `it's "odd"`, Schema: `my "schema"`, Table: `select 'x' "y"`}
	columns := []vector.Column{columnOf("id", number()), columnOf(`a "b" 'c'`, text()), columnOf("select", text()), columnOf("ümläut", text()), columnOf("日本 %s $1", text())}
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id", "select"}, DeleteMissing: true, Deletes: 1,
		Rejects: []warehouse.MirrorReject{{Key: "k", Column: `a "b" 'c'`, Value: "v", Reason: "r", At: moment(1)}}}
	b.publish(p, columns, []any{1, "a", "s", "u", "j"})
	b.publish(p, columns, []any{1, "b", "s", "u", "j"})
	b.want(columns, "1|b|s|u|j")
	p = warehouse.Publication{Mode: warehouse.PublishReplace, History: true}
	b.at.Table += "2"
	b.publish(p, columns, []any{1, "a", "s", "u", "j"})
	b.publish(p, columns, []any{1, "b", "s", "u", "j"})
	b.publish(warehouse.Publication{Mode: warehouse.PublishIDs, Deletes: 1}, columns[:1], []any{1})
	if n := len(b.allIDs(2)); n != 1 {
		t.Errorf("%d ids", n)
	}
}

func testMirrorLongNames(t *testing.T, b *mirrorBench) {
	long := strings.Repeat("x", 62)
	b.at = warehouse.MirrorTable{Name: long + long, Schema: long, Table: long + "a"}
	columns := []vector.Column{columnOf(long+"1", number()), columnOf(long+"2", text())}
	other := b.at
	other.Table, other.Name = long+"b", "other"
	for range 2 {
		s := b.stage(columns)
		b.write(s, chunkOf(columns, []any{1, "a"}))
		s2, err := b.Target.Stage(t.Context(), other, warehouse.StageOptions{Run: "x", Columns: columns})
		if err != nil {
			t.Fatal(err)
		}
		b.write(s2, chunkOf(columns, []any{2, "b"}))
		reject := []warehouse.MirrorReject{{Key: "1", Column: columns[1].Name, Value: "v", Reason: "r", At: moment(1)}}
		p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{columns[0].Name}, At: moment(1), Rejects: reject}
		for _, s := range []interface {
			Publish(context.Context, *warehouse.Publication) (*warehouse.Published, error)
		}{s, s2} {
			if _, err := s.Publish(t.Context(), &p); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.want(columns, "1|a")
	b.at = other
	b.want(columns, "2|b")
}

func testMirrorSchemas(t *testing.T, b *mirrorBench) {
	b.at.Schema = "nowhere_yet"
	if s := b.state(); s.Columns != nil {
		t.Errorf("%+v", s)
	}
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 1, "a")...)
	b.want(persons(), lines(0, 1, "a")...)
}

func testMirrorForeign(t *testing.T, b *mirrorBench) {
	b.at.Table = "first"
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 1, "a")...)
	b.at.Table, b.at.Name = "people", "second"
	b.User(t, "CREATE TABLE "+b.table("")+" (x int)", "INSERT INTO "+b.table("")+" VALUES (1)")
	_, err := b.Target.Stage(t.Context(), b.at, warehouse.StageOptions{Run: "x", Columns: persons()})
	if err == nil || warehouse.HintOf(err) == "" {
		t.Errorf("a table of somebody's is taken: %v, hint %q", err, warehouse.HintOf(err))
	}
	if n := b.count(b.table("")); n != 1 {
		t.Errorf("%d rows are left", n)
	}
	b.User(t, "DELETE FROM "+b.table(""))
	s := b.stage(persons())
	b.write(s, chunkOf(persons(), rowsOf(0, 2, "b")...))
	// Between staging and publishing somebody fills it.
	b.User(t, "INSERT INTO "+b.table("")+" VALUES (1)")
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err == nil || warehouse.HintOf(err) == "" {
		t.Errorf("a table of somebody's is taken: %v, hint %q", err, warehouse.HintOf(err))
	}
	if n := b.count(b.table("")); n != 1 {
		t.Errorf("%d rows are left", n)
	}
	b.User(t, "DELETE FROM "+b.table(""))
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(persons(), lines(0, 2, "b")...)
}

func testMirrorOther(t *testing.T, b *mirrorBench) {
	b.publish(warehouse.Publication{Mode: warehouse.PublishReplace}, persons(), rowsOf(0, 2, "a")...)
	b.at.Name = "other"
	if _, err := b.Target.Stage(t.Context(), b.at, warehouse.StageOptions{Run: "x", Columns: persons()}); err == nil || warehouse.HintOf(err) == "" {
		t.Errorf("the table of another mirror is taken: %v, hint %q", err, warehouse.HintOf(err))
	}
	b.want(persons(), lines(0, 2, "a")...)
}

func testMirrorDropped(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	b.publish(p, persons(), rowsOf(0, 3, "a")...)
	b.User(t, "DROP TABLE "+b.table(""))
	if s := b.state(); s.Columns != nil || s.State == nil {
		t.Errorf("of a table that is gone: %+v", s)
	}
	got := b.publish(p, persons(), rowsOf(1, 2, "b")...)
	if len(got.Notices) == 0 {
		t.Error("there is no notice of the table that was dropped")
	}
	b.want(persons(), lines(1, 2, "b")...)
	if got := b.publish(p, persons(), rowsOf(1, 2, "b")...); len(got.Notices) > 0 {
		t.Errorf("notices: %q", got.Notices)
	}
}

func testMirrorUserObjects(t *testing.T, b *mirrorBench) {
	p := warehouse.Publication{Mode: warehouse.PublishReplace}
	b.publish(p, persons(), rowsOf(0, 3, "a")...)
	b.User(t, "CREATE INDEX by_name ON "+b.table("")+" ("+b.Quote("id")+")")
	b.publish(p, persons(), rowsOf(0, 4, "b")...)
	b.want(persons(), lines(0, 4, "b")...)
	// It is there still: it cannot be made again.
	if _, err := b.DB.ExecContext(t.Context(), "CREATE INDEX by_name ON "+b.table("")+" ("+b.Quote("id")+")"); err == nil {
		t.Error("the index is gone")
	}
	b.User(t, "CREATE VIEW "+b.table("_names")+" AS SELECT "+b.Quote("name")+" FROM "+b.table(""))
	b.publish(p, persons(), rowsOf(2, 5, "c")...)
	b.want(persons(), lines(2, 5, "c")...)
	b.wantIn(b.table("_names"), persons()[1:], "c 2", "c 3", "c 4")
	up := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}}
	b.publish(up, append(persons(), columnOf("more", number())), []any{2, "d", 1})
	b.wantIn(b.table("_names"), persons()[1:], "d", "c 3", "c 4")
	got := b.publish(p, append(persons(), columnOf("again", number())), []any{2, "e", 1})
	b.wantIn(b.table("_names"), persons()[1:], "e")
	b.wantDone(got, got.Inserted, got.Updated, got.Deleted, got.Unchanged)
	b.want(append(persons(), columnOf("again", number())), "2|e|1")
}

func testMirrorReaders(t *testing.T, b *mirrorBench) {
	columns := append(persons(), columnOf("gen", number()))
	rows := func(gen, n int) [][]any {
		var out [][]any
		for i := range n {
			out = append(out, []any{i, "x", gen})
		}
		return out
	}
	for _, p := range []warehouse.Publication{
		{Mode: warehouse.PublishReplace},
		{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 1},
	} {
		b.at.Name = fmt.Sprintf("seen_%d", p.Mode)
		b.at.Table = b.at.Name
		b.publish(p, columns, rows(0, 2000)...)
		ctx, cancel := context.WithCancel(t.Context())
		var seen int
		var readers sync.WaitGroup
		readers.Go(func() {
			for ctx.Err() == nil {
				var n, low, high, most int
				g := b.Quote("gen")
				err := b.DB.QueryRowContext(t.Context(), "SELECT count(*), min("+g+"), max("+g+"), max("+b.Quote("id")+") FROM "+b.table("")).Scan(&n, &low, &high, &most)
				if err != nil || low != high || n != 2000-low*10 || most != n-1 {
					t.Errorf("a reader saw %d rows of %d to %d: %v", n, low, high, err)
					return
				}
				seen++
			}
		})
		deadline := time.Now().Add(5 * time.Second)
		for gen := 1; gen <= 8 && time.Now().Before(deadline); gen++ {
			b.publish(p, columns, rows(gen, 2000-gen*10)...)
		}
		cancel()
		readers.Wait()
		if seen == 0 {
			t.Error("nobody read")
		}
	}
}

// testMirrorCancelled ends staging and publishing after a while that grows, until they come through; each time the table is the old or the
// new one, and the next try ends as if nothing had been.
func testMirrorCancelled(t *testing.T, b *mirrorBench) {
	columns := append(persons(), columnOf("gen", number()))
	rows := func(gen int) (out [][]any) {
		for i := range 3000 {
			out = append(out, []any{i + gen%7, "x", gen})
		}
		return out
	}
	for _, p := range []warehouse.Publication{
		{Mode: warehouse.PublishReplace},
		{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 1},
		{Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 1, History: true},
	} {
		b.at.Name = fmt.Sprintf("cut_%d_%v", p.Mode, p.History)
		b.at.Table = b.at.Name
		b.publish(p, columns, rows(0)...)
		old, cut, through := 0, 0, 0
		present := ""
		if p.History {
			present = b.Quote(warehouse.ValidTo) + " IS NULL"
		}
		for gen, wait := 1, 200*time.Microsecond; through < 2; gen, wait = gen+1, wait+wait*3/4 {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			err := b.run(ctx, p, columns, rows(gen), gen)
			cancel()
			switch {
			case err == nil:
				old, through = gen, through+1
			case errors.Is(err, context.DeadlineExceeded) || warehouse.KindOf(err) == warehouse.Timeout || ctx.Err() != nil:
				cut++
				if wait > time.Minute {
					t.Fatalf("cut after %v of more than a minute: %v", wait, err)
				}
			default:
				t.Fatal(err)
			}
			got := b.read(b.table(""), present, columns[2])
			if got[0] == fmt.Sprint(gen) {
				old = gen // it was cut after the commit
			}
			if len(got) != 3000 || got[0] != fmt.Sprint(old) || got[2999] != got[0] {
				t.Fatalf("after %v: %d rows of %s to %s, want those of %d", err, len(got), got[0], got[len(got)-1], old)
			}
		}
		if cut == 0 {
			t.Error("nothing was cut")
		}
	}
}

func (b *mirrorBench) run(ctx context.Context, p warehouse.Publication, columns []vector.Column, rows [][]any, gen int) error {
	s, err := b.Target.Stage(ctx, b.at, warehouse.StageOptions{Run: fmt.Sprint(gen), Columns: columns, Key: p.Key})
	if err != nil {
		return err
	}
	if _, err := s.Write(ctx, chunkOf(columns, rows...), json.RawMessage(`{}`)); err != nil {
		return err
	}
	p.At = moment(0).Add(time.Duration(gen) * time.Second)
	_, err = s.Publish(ctx, &p)
	return err
}

func testMirrorWriters(t *testing.T, b *mirrorBench) {
	s := b.stage(persons())
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for j := range 5 {
				at := (i*5 + j) * 100
				if _, err := s.Write(t.Context(), chunkOf(persons(), rowsOf(at, at+100, "a")...), json.RawMessage(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if staged := b.state().Staged; staged == nil || staged.Rows != 2000 {
		t.Errorf("staged: %+v", staged)
	}
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: moment(1)}); err != nil {
		t.Fatal(err)
	}
	b.want(persons(), lines(0, 2000, "a")...)
}
