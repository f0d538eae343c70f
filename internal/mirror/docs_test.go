package mirror

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// fakeDocs is a collection in memory: JSON texts.
type fakeDocs struct {
	*fakeSource
	docs []string
}

func (f *fakeDocs) Describe(context.Context) (*source.Info, error) {
	return &source.Info{Key: []string{"_id"}, Rows: int64(len(f.docs)), Bytes: -1}, f.step("describe")
}

func (f *fakeDocs) Ranges(context.Context, int) ([]source.Range, error) {
	return []source.Range{{Label: "all"}}, f.step("ranges")
}

func (f *fakeDocs) Scan(_ context.Context, r source.Request) (source.Rows, error) {
	return &docRows{f: f, r: r, left: f.docs}, f.step("scan")
}

type docRows struct {
	f     *fakeDocs
	r     source.Request
	left  []string
	arena document.Arena
}

func (d *docRows) Next(_ context.Context, b *source.Batch) error {
	if err := d.f.step("next"); err != nil {
		return err
	}
	b.Docs = b.Docs[:0]
	d.arena.Reset()
	for len(d.left) > 0 && len(b.Docs) < d.f.batch {
		v, err := document.Parse([]byte(d.left[0]), &d.arena)
		if err != nil {
			return err
		}
		d.left = d.left[1:]
		if at := cursorOf(&v, []string{"at"}); d.r.From.Kind != vector.Null && compare(at, d.r.From) < 0 {
			continue
		}
		b.Docs = append(b.Docs, v)
	}
	if len(b.Docs) == 0 {
		return io.EOF
	}
	return nil
}

func (d *docRows) Close() error { return nil }

func docMirror(c Config, f *fakeDocs, t *fakeTarget) *Mirror {
	m := testMirror(c, f.fakeSource, t)
	m.o.From = func(context.Context) (Source, error) { return f, f.step("open") }
	return m
}

func TestDocumentsBecomeColumns(t *testing.T) {
	f, tgt := &fakeDocs{fakeSource: newFake()}, newTarget()
	for i := range 500 {
		f.docs = append(f.docs, fmt.Sprintf(`{"_id": %d, "a": {"b": %d}, "a_b": "x%d", "mail": {"home": "m%d@x", "list": [{"to": "secret"}]}, "gone": 1}`, i, i*2, i, i))
	}
	m := docMirror(Config{
		Mode: ModeReplace, Salt: "s", Depth: 2, Exclude: []string{"gone"},
		Columns: []ColumnRule{{Path: "mail.home", Mask: "hash"}, {Path: "mail.list.to", Mask: "truncate:1"}},
	}, f, tgt)
	rep := mustCopy(t, m, RunOptions{})
	if len(tgt.rows) != 500 {
		t.Fatalf("%d rows", len(tgt.rows))
	}
	r := tgt.rows[3]
	if r["a_b"] != "6" || r["a_b_2"] != "x3" || len(r["mail_home"]) != 64 || r["gone"] != "" {
		t.Errorf("%v\n%s", r, rep.Text())
	}
	for _, r := range tgt.rows {
		if strings.Contains(r.String(), "secret") || strings.Contains(r.String(), "@x") {
			t.Fatalf("%v", r)
		}
	}
	// Late fields become columns, wider values widen, what does not fit is rejected.
	f.docs = append(f.docs, `{"_id": 500, "a": {"b": 1.5}, "late": true}`, `{"_id": 501, "a_b": 7}`)
	rep = mustCopy(t, m, RunOptions{})
	t.Logf("%+v", tgt.rejects)
	if r := tgt.rows[500]; r["late"] != "true" || r["a_b"] != "1.5" {
		t.Errorf("%v\n%s", r, rep.Text())
	}
	if tgt.rows[3]["a_b"] != "6" {
		t.Errorf("%v", tgt.rows[3])
	}
	for _, c := range rep.Columns {
		if sum := c.Exact + c.Widened + c.Null + c.Rejected; sum != 502 {
			t.Errorf("%+v adds up to %d", c, sum)
		}
	}
	if !strings.Contains(rep.Text(), "new or wider columns") {
		t.Errorf("%s", rep.Text())
	}
	f.docs = append(f.docs, `{"_id": 502, "later": true}`)
	m.o.Config.Drift = DriftFreeze
	if rep, err := m.Copy(t.Context(), RunOptions{}, nil); err == nil || len(tgt.rows) != 502 {
		t.Errorf("%s", rep.Text())
	}
}

func TestDocumentsByCursorAndKey(t *testing.T) {
	f, tgt := &fakeDocs{fakeSource: newFake()}, newTarget()
	for i := range 300 {
		f.docs = append(f.docs, fmt.Sprintf(`{"_id": "k%d", "at": %d}`, i, i))
	}
	m := docMirror(Config{Mode: ModeUpsert, Cursor: "at", Late: &Late{Count: 3}}, f, tgt)
	mustCopy(t, m, RunOptions{})
	f.docs[4] = `{"_id": "k4", "at": 300, "new": "n"}`
	if rep := mustCopy(t, m, RunOptions{}); rep.Rows != 5 {
		t.Errorf("%s", rep.Text())
	}
	if len(tgt.rows) != 300 {
		t.Errorf("%d rows", len(tgt.rows))
	}
	before := tgt.counts["publish"]
	if mustCopy(t, m, RunOptions{}); tgt.counts["publish"] != before {
		t.Error("nothing had changed")
	}
}

func TestDocumentsKilledAtEveryStep(t *testing.T) {
	resumed := 0
	for at := int64(1); ; at++ {
		f, tgt := &fakeDocs{fakeSource: newFake()}, newTarget()
		f.batch = 25
		for i := range 400 {
			extra := ""
			if i > 250 {
				extra = `, "late": 1`
			}
			f.docs = append(f.docs, fmt.Sprintf(`{"_id": %d, "v": "x%d"%s}`, i, i, extra))
		}
		ctx, cancel := context.WithCancel(t.Context())
		k := &killer{at: at, cancel: cancel, ctx: ctx}
		f.step, tgt.step = k.step, k.step
		cfg := Config{Mode: ModeReplace}
		_, err := docMirror(cfg, f, tgt).Copy(ctx, RunOptions{}, nil)
		cancel()
		if err == nil && k.n.Load() < at {
			break
		}
		f.step, tgt.step = func(string) error { return nil }, func(string) error { return nil }
		rep := mustCopy(t, docMirror(cfg, f, tgt), RunOptions{})
		if len(tgt.rows) != 400 || tgt.rows[399]["late"] != "1" || rep.State != warehouse.RunSuccess {
			t.Fatalf("killed at %d: %d rows, %v", at, len(tgt.rows), tgt.rows[399])
		}
		seen := map[string]bool{}
		for _, r := range tgt.rows {
			seen[r["_id"]] = true
		}
		if len(seen) != 400 {
			t.Fatalf("killed at %d: %d ids", at, len(seen))
		}
		if strings.Contains(strings.Join(rep.Notices, "\n"), "goes on with") {
			resumed++
		}
	}
	if resumed == 0 {
		t.Error("no run went on with what was staged")
	}
}

func TestEmptyCollectionMakesNoTable(t *testing.T) {
	f, tgt := &fakeDocs{fakeSource: newFake()}, newTarget()
	rep := mustCopy(t, docMirror(Config{Mode: ModeReplace}, f, tgt), RunOptions{})
	if len(tgt.counts) > 0 || len(rep.Notices) == 0 {
		t.Errorf("%v %s", tgt.counts, rep.Text())
	}
}
