package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Mirrors are the tables of the warehouse that are copies of databases. What is staged lies in files of this machine until it is published;
// a publication is one commit of all tables that it changes, together with the bookkeeping of the schema, and none where nothing differs.
// Its methods may be called from several goroutines; publications take turns.
type Mirrors struct {
	db    *DB
	turn  chan struct{} // held while something is published
	seat  chan struct{} // held by whoever is at the bench
	bench bench
}

// Mirrors are the mirrors of the warehouse. There should be one value of them; Close ends its use.
func (d *DB) Mirrors() *Mirrors {
	return &Mirrors{db: d, turn: make(chan struct{}, 1), seat: make(chan struct{}, 1)}
}

// Close keeps what is staged for the next process.
func (m *Mirrors) Close() error {
	m.seat <- struct{}{}
	defer func() { <-m.seat }()
	if m.bench.shop == nil {
		return nil
	}
	var err error
	for _, s := range m.bench.stages {
		err = errors.Join(err, s.flush(context.Background(), &m.bench))
		s.ended = true
	}
	err = errors.Join(err, m.bench.shop.Close())
	m.bench = bench{}
	return err
}

// fail names what goes wrong.
func (m *Mirrors) fail(ctx context.Context, op, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(ctx.Err(), err) // the engine says that it was interrupted
	}
	return m.db.fail(op, name, err)
}

// mirrorsTable holds the bookkeeping of the mirrors of a schema, as properties: a record a mirror. Rows and record change in one commit.
const mirrorsTable = "_firth_mirrors"

const (
	// recordPrefix begins the name of a mirror's property there.
	recordPrefix = "mirror."
	// mirrorProperty of a table names the mirror that it is of.
	mirrorProperty = "firth.mirror"
)

// record is what the bookkeeping has of a mirror.
type record struct {
	Table   string          `json:"table"`
	Columns []vector.Column `json:"columns,omitempty"` // nil: no table was published
	State   json.RawMessage `json:"state,omitempty"`
	IDType  *vector.Type    `json:"id_type,omitempty"`
	Stage   string          `json:"stage,omitempty"` // the mark of the stage that was published last
}

// of reports whether the record speaks of the mirror's table as it is configured now.
func (r *record) of(t warehouse.MirrorTable) bool { return strings.EqualFold(r.Table, t.Table) }

// records are those of a schema, by mirror.
func records(book *tbl) (map[string]*record, error) {
	out := map[string]*record{}
	if book == nil {
		return out, nil
	}
	for key, text := range book.props {
		name, ok := strings.CutPrefix(key, recordPrefix)
		if !ok {
			continue
		}
		r := &record{}
		if err := json.Unmarshal([]byte(text), r); err != nil {
			return nil, fmt.Errorf("read the bookkeeping of the mirror %s: %w", name, err)
		}
		out[name] = r
	}
	return out, nil
}

// look is load for a table that need not be there: nil then. It makes no schema.
func (m *Mirrors) look(ctx context.Context, schema, name string) (*tbl, error) {
	schemas, err := m.db.schemas(ctx)
	if err != nil || !slices.Contains(schemas, schema) {
		return nil, err
	}
	if err := m.db.foreign(ctx, schema, name); err != nil {
		return nil, err
	}
	t, err := m.db.load(ctx, schema, name)
	if errors.Is(err, errNoTable) {
		return nil, nil //nolint:nilnil // there is none
	}
	return t, err
}

// present is what a schema has of a mirror.
type present struct {
	book    *tbl // nil: no mirror published into the schema yet
	records map[string]*record
	record  *record // of the mirror; never nil
	main    *tbl    // the table of its name; nil: there is none
	own     bool    // it is the mirror's
}

// find looks at the table of a mirror and its bookkeeping.
func (m *Mirrors) find(ctx context.Context, t warehouse.MirrorTable) (*present, error) {
	p := &present{record: &record{}}
	var err error
	if p.book, err = m.look(ctx, t.Schema, mirrorsTable); err != nil {
		return nil, err
	}
	if p.records, err = records(p.book); err != nil {
		return nil, err
	}
	if r := p.records[t.Name]; r != nil {
		p.record = r
	}
	if p.main, err = m.look(ctx, t.Schema, t.Table); err != nil {
		return nil, err
	}
	p.own = p.main != nil && p.record.of(t) && p.record.Columns != nil && p.main.props[mirrorProperty] == t.Name
	return p, nil
}

// claim refuses a table that the mirror may not have: it must not be there, be the mirror's own, or be empty and nobody's.
func (p *present) claim(t warehouse.MirrorTable) error {
	refuse := func(why string) error {
		return &warehouse.Error{
			Op: "mirror into", Object: t.Schema + "." + t.Table, Kind: warehouse.BadName, Err: errors.New(why),
			Hint: fmt.Sprintf("give the mirror %s another table (into), or drop this one in the catalog", t.Name),
		}
	}
	if t.Schema == "" || t.Table == "" || t.Schema == lakeNamespace || strings.HasPrefix(t.Schema, "_") {
		return &warehouse.Error{Op: "mirror into", Object: t.Schema + "." + t.Table, Kind: warehouse.BadName, Err: fmt.Errorf("the schema %q is taken", t.Schema), Hint: "choose another schema"}
	}
	if p.main == nil || p.own {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.records)) {
		if r := p.records[name]; name != t.Name && r.of(t) && r.Columns != nil {
			return refuse("the table is that of the mirror " + name)
		}
	}
	if p.main.rows() > 0 {
		return refuse("the table is there already, has rows, and was not made by the mirror")
	}
	return nil
}

// Mirror tells what the warehouse has of a mirror.
func (m *Mirrors) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	p, err := m.find(ctx, t)
	if err != nil {
		return nil, m.fail(ctx, "read the mirror", t.Name, err)
	}
	out := &warehouse.MirrorState{State: p.record.State}
	if p.own {
		out.Columns, out.Rows = p.record.Columns, p.main.rows()
	}
	err = m.atBench(ctx, "read what is staged of", t.Name, func(b *bench) error {
		if s := b.stages[t.Name]; s != nil {
			if err := s.flush(ctx, b); err != nil {
				return err
			}
		}
		n, err := readNote(m.stageDir(t.Name))
		if err == nil && n.of(t) && n.Mark != p.record.Stage {
			out.Staged = &warehouse.Staged{Run: n.Run, Columns: n.Columns, Progress: n.Progress, Rows: n.Rows}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// IDs lists ids of the last list, in the order of the engine.
func (m *Mirrors) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	p, err := m.find(ctx, t)
	if err != nil || !p.record.of(t) || p.record.IDType == nil {
		return nil, m.fail(ctx, "read the ids of", t.Name, err)
	}
	list, err := m.look(ctx, t.Schema, warehouse.IDsPrefix+t.Table)
	if err != nil || list == nil || len(list.files) == 0 {
		return nil, m.fail(ctx, "read the ids of", t.Name, err)
	}
	v := vector.New(*p.record.IDType)
	err = m.atBench(ctx, "read the ids of", t.Name, func(b *bench) error {
		r, err := m.db.scan(ctx, list, list.files)
		if err != nil {
			return err
		}
		defer r.release()
		rows, err := b.shop.Query(ctx, selectIDs(r.expr, *p.record.IDType, after, limit))
		if err != nil {
			return err
		}
		return scanTexts(rows, func(text string) error {
			if !vector.ParseInto(v, text) {
				return fmt.Errorf("the id %q is no %s", text, p.record.IDType)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	out := make([]vector.Value, v.Len())
	for i := range out {
		out[i] = v.At(i)
	}
	return out, nil
}
