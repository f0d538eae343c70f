package warehousetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Mirrors is what the engine of mirrors asks of a warehouse, with its contract.
type Mirrors interface {
	Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error)
	Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (MirrorStage, error)
	IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error)
}

// MirrorStage is what it asks of a staging table.
type MirrorStage interface {
	Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error)
	AddColumns(ctx context.Context, columns []vector.Column) error
	Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error)
	Discard(ctx context.Context) error
}

// MirrorTarget is a warehouse of mirrors under test. Fields from Unfit on may stay empty.
type MirrorTarget struct {
	Target Mirrors
	// DB reads the same warehouse, as a reader would, in a session whose time zone is UTC; Quote makes an identifier for it.
	DB    *sql.DB
	Quote func(string) string
	// Text is an expression that gives a column's value as [vector.Vector.AppendText] would write it, but: blobs in hexadecimal digits, intervals
	// as their months, days and microseconds with a blank between, lists as JSON of scalars. A NULL must be NULL.
	Text func(t vector.Type, column string) string
	// Reopen closes the warehouse and opens it again with what was committed.
	Reopen func(t *testing.T) *MirrorTarget
	// User runs statements as a person with all rights would.
	User func(t *testing.T, statements ...string)

	// Unfit reports whether the warehouse cannot hold a value, which is written as in Text: it must be a reject then. Others come back exactly.
	Unfit func(t vector.Type, text string) bool
	// Glimpses is how many reads, of all that are made while tables are published, may see something else than one state, for an engine that is known
	// to err there. Whoever publishes in two steps is found out all the same: it is seen far more often.
	Glimpses int
	// Lacks names tests, or behaviours that a test asks for, which the engine cannot have, each with the reason. The suite prints it.
	Lacks map[string]string
}

// Targets adapts a warehouse whose Stage returns a type of its own.
func Targets[S MirrorStage](m interface {
	Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error)
	Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (S, error)
	IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error)
}) Mirrors {
	forgets, _ := m.(mirrorForgetter)
	return adapted{forgets: forgets, mirrorOf: m.Mirror, ids: m.IDs, stage: func(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (MirrorStage, error) {
		s, err := m.Stage(ctx, t, o)
		if err != nil {
			return nil, err
		}
		return s, nil
	}}
}

type adapted struct {
	forgets  mirrorForgetter // nil: it cannot
	mirrorOf func(context.Context, warehouse.MirrorTable) (*warehouse.MirrorState, error)
	stage    func(context.Context, warehouse.MirrorTable, warehouse.StageOptions) (MirrorStage, error)
	ids      func(context.Context, warehouse.MirrorTable, vector.Value, int) ([]vector.Value, error)
}

func (a adapted) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	return a.mirrorOf(ctx, t)
}

func (a adapted) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (MirrorStage, error) {
	return a.stage(ctx, t, o)
}

func (a adapted) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	return a.ids(ctx, t, after, limit)
}

// RunMirrors runs the list of behaviours that every warehouse of mirrors passes; only, where there are any, names those to run. open gives
// an empty warehouse each time, and closes it with the test.
func RunMirrors(t *testing.T, open func(t *testing.T) *MirrorTarget, only ...string) {
	for _, list := range [][]mirrorBehaviour{mirrorModes, mirrorLists, mirrorHistories, mirrorShapes, mirrorTroubles, mirrorValues, mirrorChildren, mirrorForgets} {
		for _, c := range list {
			if len(only) > 0 && !slices.Contains(only, c.name) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				b := &mirrorBench{MirrorTarget: open(t), t: t, at: warehouse.MirrorTable{Name: "people", Schema: "company", Table: "people"}}
				if why := b.Lacks[c.name]; why != "" {
					t.Skip("not of this warehouse: " + why)
				}
				c.test(t, b)
			})
		}
	}
}

type mirrorBehaviour struct {
	name string
	test func(*testing.T, *mirrorBench)
}

// mirrorBench is a warehouse of mirrors on the bench.
type mirrorBench struct {
	*MirrorTarget
	t    *testing.T
	at   warehouse.MirrorTable
	runs int
}

// Types that the tests are written with.
func number() vector.Type { return vector.Type{Kind: vector.Int, Bits: 64} }
func text() vector.Type   { return vector.Type{Kind: vector.Text} }

func columnOf(name string, t vector.Type) vector.Column {
	return vector.Column{Name: name, Path: name, Type: t}
}

// persons are the columns of most tests: id, name.
func persons() []vector.Column {
	return []vector.Column{columnOf("id", number()), columnOf("name", text())}
}

// chunkOf makes a chunk of rows whose values are nil, int, uint64, string, bool, float64, []byte, vector.Span, or []any for a list.
func chunkOf(columns []vector.Column, rows ...[]any) *vector.Chunk {
	c := vector.NewChunk(columns)
	for _, r := range rows {
		for i, x := range r {
			put(c.Vectors[i], x)
		}
		c.Rows++
	}
	return c
}

func put(v *vector.Vector, x any) {
	switch x := x.(type) {
	case nil:
		v.AppendNull()
	case int:
		v.AppendNum(int64(x))
	case int64:
		v.AppendNum(x)
	case uint64:
		v.AppendNum(int64(x))
	case bool:
		v.AppendBool(x)
	case float64:
		v.AppendFloat(x)
	case string:
		v.AppendString(x)
	case []byte:
		v.AppendBytes(x)
	case vector.Span:
		v.AppendSpan(x)
	case []any:
		for _, e := range x {
			put(v.Items, e)
		}
		v.EndList()
	}
}

// rowsOf are rows of persons: id and name.
func rowsOf(from, to int, name string) [][]any {
	var out [][]any
	for i := from; i < to; i++ {
		out = append(out, []any{i, fmt.Sprintf("%s %d", name, i)})
	}
	return out
}

// stage begins a staging under a run of its own.
func (b *mirrorBench) stage(columns []vector.Column, key ...string) MirrorStage {
	b.t.Helper()
	b.runs++
	s, err := b.Target.Stage(b.t.Context(), b.at, warehouse.StageOptions{Run: fmt.Sprintf("run-%d", b.runs), Columns: columns, Key: key})
	if err != nil {
		b.t.Fatalf("stage: %v", err)
	}
	return s
}

func (b *mirrorBench) write(s MirrorStage, c *vector.Chunk) []vector.Reject {
	b.t.Helper()
	rejects, err := s.Write(b.t.Context(), c, json.RawMessage(`{"rows": 1}`))
	if err != nil {
		b.t.Fatalf("write: %v", err)
	}
	return rejects
}

// publish stages rows, all of which must fit, and publishes them.
func (b *mirrorBench) publish(p warehouse.Publication, columns []vector.Column, rows ...[]any) *warehouse.Published {
	b.t.Helper()
	out, err := b.try(p, columns, rows...)
	if err != nil {
		b.t.Fatalf("publish: %v (%s)", err, warehouse.HintOf(err))
	}
	return out
}

// try is publish for what may fail; the stage is discarded then.
func (b *mirrorBench) try(p warehouse.Publication, columns []vector.Column, rows ...[]any) (*warehouse.Published, error) {
	b.t.Helper()
	s := b.stage(columns, p.Key...)
	if len(rows) > 0 {
		if rejects := b.write(s, chunkOf(columns, rows...)); len(rejects) > 0 {
			b.t.Fatalf("rejects: %v", rejects)
		}
	}
	if p.At.IsZero() {
		p.At = moment(b.runs)
	}
	if p.State == nil {
		p.State = json.RawMessage(fmt.Sprintf(`{"run": %d}`, b.runs))
	}
	out, err := s.Publish(b.t.Context(), &p)
	if err != nil {
		if err := s.Discard(b.t.Context()); err != nil {
			b.t.Errorf("discard: %v", err)
		}
	}
	return out, err
}

// moment is the time of the n-th publication.
func moment(n int) time.Time { return time.Date(2024, 5, 1, 12, n, 0, 123456000, time.UTC) }

// momentText is a moment as Text writes it.
func momentText(n int) string { return moment(n).Format("2006-01-02 15:04:05.999999") + "+00" }

func (b *mirrorBench) table(suffix string) string {
	return b.Quote(b.at.Schema) + "." + b.Quote(b.at.Table+suffix)
}

// read gives the rows of a table, each as its values with | between and ~ for NULL, sorted. where is "" or a condition.
func (b *mirrorBench) read(table, where string, columns ...vector.Column) []string {
	b.t.Helper()
	out, err := b.tryRead(table, where, columns...)
	if err != nil {
		b.t.Fatalf("read %s: %v", table, err)
	}
	return out
}

func (b *mirrorBench) tryRead(table, where string, columns ...vector.Column) ([]string, error) {
	var list []string
	for _, c := range columns {
		list = append(list, b.Text(c.Type, b.Quote(c.Name)))
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + table
	if where != "" {
		query += " WHERE " + where
	}
	rows, err := b.DB.QueryContext(b.t.Context(), query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = "~"
			if v.Valid {
				texts[i] = plain(columns[i].Type, v.String)
			}
		}
		out = append(out, strings.Join(texts, "|"))
	}
	slices.Sort(out)
	return out, rows.Err()
}

// plain writes floats in one way, whatever the engine's.
func plain(t vector.Type, s string) string {
	if t.Kind != vector.Float {
		return s
	}
	f, err := strconv.ParseFloat(s, max(int(t.Bits), 32))
	if err != nil && !math.IsInf(f, 0) {
		return s
	}
	return strconv.FormatFloat(f, 'g', -1, max(int(t.Bits), 32))
}

// want compares the table of the mirror with rows that are written as read gives them.
func (b *mirrorBench) want(columns []vector.Column, rows ...string) {
	b.t.Helper()
	b.wantIn(b.table(""), columns, rows...)
}

func (b *mirrorBench) wantIn(table string, columns []vector.Column, rows ...string) {
	b.t.Helper()
	slices.Sort(rows)
	if diff := cmp.Diff(rows, b.read(table, "", columns...)); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", table, diff)
	}
}

// lines are rows of persons as read gives them.
func lines(from, to int, name string) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%d|%s %d", i, name, i))
	}
	return out
}

// count is how many rows a table has.
func (b *mirrorBench) count(table string) int {
	b.t.Helper()
	var n int
	if err := b.DB.QueryRowContext(b.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// wantDone compares what a publication did.
func (b *mirrorBench) wantDone(got *warehouse.Published, inserted, updated, deleted, unchanged int64) {
	b.t.Helper()
	want := [4]int64{inserted, updated, deleted, unchanged}
	if have := [4]int64{got.Inserted, got.Updated, got.Deleted, got.Unchanged}; have != want {
		b.t.Errorf("inserted, updated, deleted, unchanged: %v, want %v", have, want)
	}
}

// state is what the warehouse has of the mirror.
func (b *mirrorBench) state() *warehouse.MirrorState {
	b.t.Helper()
	s, err := b.Target.Mirror(b.t.Context(), b.at)
	if err != nil {
		b.t.Fatalf("mirror: %v", err)
	}
	return s
}

// wantState compares the state that was published last.
func (b *mirrorBench) wantState(want string) {
	b.t.Helper()
	var a, c any
	got := b.state().State
	if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &c) != nil || !cmp.Equal(a, c) {
		b.t.Errorf("state %s, want %s", got, want)
	}
}
