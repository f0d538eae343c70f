// Package sourcetest is the list of behaviours that every kind of source has: it is run by each of them against real servers.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
)

// Source is what a kind gives; mirror.Source is the same.
type Source interface {
	Describe(ctx context.Context) (*source.Info, error)
	Begin(ctx context.Context) error
	Ranges(ctx context.Context, pieces int) ([]source.Range, error)
	Scan(ctx context.Context, r source.Request) (source.Rows, error)
	Get(ctx context.Context, ids []vector.Value) (source.Rows, error)
	End() error
	Check(ctx context.Context) []source.Finding
	Close() error
}

// Person is one row that the suite works with.
type Person struct {
	ID   int64
	Name string // never empty
	Age  int64  // 0: NULL, or no such field
}

// Stand is one kind of source with a server behind it.
type Stand struct {
	// Fill makes what is read anew: people with the columns, or fields, id (an integer, the key), name (text) and age (a nullable integer).
	Fill func(t *testing.T, people []Person)
	// Open reads them. The spec has Columns, Exclude, Cursor, ID or Key filled by the suite; the rest is the kind's to add: what it reads.
	// get: it is opened for Get by the column id.
	Open func(t *testing.T, spec source.Spec, get bool) Source
	// Missing opens something that does not exist; nil: the kind cannot tell.
	Missing func(t *testing.T) Source
	// Cut makes what is read break off after about so many bytes, once; nil: the kind cannot be cut. OpenCut opens through it.
	Cut     func(t *testing.T, bytes int64)
	OpenCut func(t *testing.T, spec source.Spec) Source
	// Secret is in the address that Open uses, and must be in no error.
	Secret string

	// Lacks name behaviours that the kind has not, by their names below: columns, cursor, ranges, get, keys, snapshot.
	Lacks []string
}

// Relational runs the list for a source with typed columns.
func Relational(t *testing.T, s Stand) { run(t, s, true) }

// Documents runs the list for a source of documents.
func Documents(t *testing.T, s Stand) { run(t, s, false) }

func run(t *testing.T, s Stand, typed bool) {
	x := &suite{Stand: s, typed: typed}
	for _, b := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"reads all", x.readsAll}, {"reads nothing", x.readsNothing}, {"columns", x.columns}, {"cursor", x.cursor}, {"ranges", x.ranges},
		{"keys", x.keys}, {"get", x.get}, {"reads again", x.readsAgain}, {"ends early", x.endsEarly}, {"snapshot", x.snapshot},
		{"missing", x.missing}, {"cut", x.cut}, {"cancelled", x.cancelled}, {"check", x.check},
	} {
		t.Run(b.name, func(t *testing.T) {
			if slices.Contains(s.Lacks, b.name) {
				t.Skip("not of this kind")
			}
			b.run(t)
		})
	}
}

type suite struct {
	Stand
	typed bool
}

// people makes so many, every third of unknown age, with names that are not plain ASCII.
func people(n int) []Person {
	out := make([]Person, n)
	for i := range out {
		out[i] = Person{ID: int64(i + 1), Name: fmt.Sprintf("Zoë %d ‘x’", i+1), Age: int64((i % 3) * (20 + i%50))}
	}
	return out
}

func (x *suite) open(t *testing.T, spec source.Spec, get bool) Source {
	t.Helper()
	s := x.Open(t, spec, get)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// row is a row as text by column.
type row map[string]string

// read scans one range to its end.
func read(ctx context.Context, s Source, r source.Request) ([]row, error) {
	rows, err := s.Scan(ctx, r)
	if err != nil {
		return nil, err
	}
	return drain(ctx, rows)
}

func drain(ctx context.Context, rows source.Rows) (out []row, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		var b source.Batch
		err := rows.Next(ctx, &b)
		if source.AtEnd(err) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, texts(&b)...)
	}
}

// texts are the rows of a batch.
func texts(b *source.Batch) (out []row) {
	if c := b.Chunk; c != nil {
		for i := range c.Rows {
			r := row{}
			for j, v := range c.Vectors {
				if v.Valid[i] {
					r[c.Columns[j].Name] = string(v.AppendText(nil, i))
				}
			}
			out = append(out, r)
		}
	}
	for _, d := range b.Docs {
		r := row{}
		for _, f := range d.Fields {
			if text := plain(&f.Value); text != "" {
				r[f.Name] = text
			}
		}
		out = append(out, r)
	}
	return out
}

// plain is a scalar as text; empty: null.
func plain(v *document.Value) string {
	switch v.Kind {
	case document.Null, document.Missing:
		return ""
	case document.String, document.Decimal:
		return string(v.Bytes)
	case document.Int32, document.Int64:
		return fmt.Sprint(v.Num)
	}
	return string(document.AppendJSON(nil, v))
}

// all reads every range within one reading, several at once.
func all(t *testing.T, s Source, pieces int, r source.Request) []row {
	t.Helper()
	ctx := t.Context()
	if err := s.Begin(ctx); err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer func() {
		if err := s.End(); err != nil {
			t.Errorf("end: %v", err)
		}
	}()
	ranges, err := s.Ranges(ctx, pieces)
	if err != nil || len(ranges) == 0 {
		t.Fatalf("ranges: %v, %v", ranges, err)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var out []row
	for _, piece := range ranges {
		wait.Go(func() {
			q := r
			q.Range = piece
			got, err := read(ctx, s, q)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("range %+v: %v", piece, err)
			}
			out = append(out, got...)
		})
	}
	wait.Wait()
	return out
}

// want are people as rows with the columns named.
func want(people []Person, columns ...string) (out []row) {
	for _, p := range people {
		r := row{"id": fmt.Sprint(p.ID), "name": p.Name}
		if p.Age != 0 {
			r["age"] = fmt.Sprint(p.Age)
		}
		for c := range r {
			if len(columns) > 0 && !slices.Contains(columns, c) {
				delete(r, c)
			}
		}
		out = append(out, r)
	}
	return out
}

// equal compares rows without regard to order; what a kind adds of its own, such as _id, does not count unless columns were chosen.
func equal(t *testing.T, what string, got, want []row, exactly bool) {
	t.Helper()
	lines := func(rows []row) (out []string) {
		for _, r := range rows {
			var b strings.Builder
			for _, c := range []string{"id", "name", "age"} {
				if v, ok := r[c]; ok {
					fmt.Fprintf(&b, "%s=%s ", c, v)
				}
			}
			if exactly {
				for c := range r {
					if c != "id" && c != "name" && c != "age" {
						fmt.Fprintf(&b, "and %s=%s ", c, r[c])
					}
				}
			}
			out = append(out, b.String())
		}
		slices.Sort(out)
		return out
	}
	g, w := lines(got), lines(want)
	if slices.Equal(g, w) {
		return
	}
	t.Errorf("%s: %d rows, want %d", what, len(g), len(w))
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("the first that differs, of %d: got %q, want %q", i, at(g, i), at(w, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// patience bounds what must come to an end by itself.
const patience = 30 * time.Second
