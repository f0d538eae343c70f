package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// loading is one load, replay or preparation under way.
type loading struct {
	db             *DB
	source, schema string
	batch          *warehouse.Batch
	now            time.Time
	moves          bool // the position goes with the rows
	replays        bool // rows may be in already
	want           []wanted
	blocked        blocked
	held           []int64 // the tables that rows are written to, by OID
	result         *warehouse.Result
}

// attempts are how often a load begins again because somebody changed the tables while it prepared them.
const attempts = 5

// Load writes the batch. The schema is brought up to it first, in short transactions of its own; rows, discards and position are one
// transaction. A batch that the position says is in already is left alone (Duplicate); one that does not begin at the position is an
// error of kind warehouse.Moved. After an error no row of the batch is in.
func (d *DB) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.load(ctx, "load", b, (*loading).run)
}

func (d *DB) load(ctx context.Context, op string, b *warehouse.Batch, run func(*loading, context.Context) error) (*warehouse.Result, error) {
	var result *warehouse.Result
	err := d.turn(ctx, op, b.Source, loadWithin, func(ctx context.Context) error {
		l, err := d.newLoading(b)
		if err != nil {
			return err
		}
		result, l.moves, l.replays = l.result, op == "load", op == "replay"
		if err := run(l, ctx); err != nil {
			return &inSchema{l.schema, err}
		}
		result.Notices = append(d.notices[l.schema], result.Notices...)
		delete(d.notices, l.schema)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (d *DB) newLoading(b *warehouse.Batch) (*loading, error) {
	schema := schemaOf(b.Schema)
	if reserved(schema) || len(schema) > maxName {
		return nil, &ill{
			kind: warehouse.BadName, err: fmt.Errorf("the schema %q cannot be used", b.Schema),
			hint: "rename the source: _firth, information_schema and names that begin with pg_ are taken",
		}
	}
	if b.To > math.MaxInt64 {
		return nil, fmt.Errorf("the offset %d is beyond what the bookkeeping holds", b.To)
	}
	l := &loading{
		db: d, source: b.Source, schema: schema, batch: b, now: d.now(), blocked: blocked{},
		result: &warehouse.Result{Rows: map[string]int64{}},
	}
	if len(b.Tables)+len(b.Upserts)+len(b.Discards) == 0 {
		return l, nil
	}
	for _, t := range b.Tables {
		l.want = append(l.want, wanted{Batch: t})
	}
	for _, t := range b.Upserts {
		l.want = append(l.want, wanted{Batch: t, upsert: true})
	}
	for i := range l.want {
		s, err := scan(l.want[i].Batch)
		if err != nil {
			return nil, err
		}
		l.want[i].scanned = s
	}
	return l, nil
}

// discards is the table that every schema has.
func (l *loading) discards() wanted {
	return wanted{Batch: &table.Batch{Name: warehouse.Discards, Columns: warehouse.DiscardColumns()}, discard: true, scanned: &scanned{minReceived: event.NoTime}}
}

// tables are all that the load touches.
func (l *loading) tables() []wanted {
	if l.moves && len(l.want)+len(l.batch.Discards) == 0 {
		return nil // the position alone
	}
	return append([]wanted{l.discards()}, l.want...) // first: what is listed when others are widened goes there
}

func (l *loading) names() []string {
	var out []string
	for _, w := range l.tables() {
		out = append(out, w.Name)
		if origin, _ := origins(w.Name); origin != "" && l.replays {
			out = append(out, origin)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// errAgain is that the tables are not what was planned for.
var errAgain = errors.New("somebody changes the tables while they are loaded")

// run loads the batch.
func (l *loading) run(ctx context.Context) error {
	return l.settle(ctx, func(ctx context.Context, s state) error {
		done, err := l.checkPosition(ctx)
		if err != nil {
			return err
		}
		if done {
			l.result = mend(l.result, &warehouse.Result{Duplicate: true, Rows: map[string]int64{}})
			return nil
		}
		if err := l.write(ctx, s); err != nil {
			return err
		}
		return l.movePosition(ctx)
	})
}

// mend puts a result in the place of another, for those who hold the first.
func mend(to, from *warehouse.Result) *warehouse.Result {
	*to = *from
	return to
}

// settle brings the tables to what the batch needs and runs fn in a transaction in which they stay so.
func (l *loading) settle(ctx context.Context, fn func(context.Context, state) error) error {
	err := errAgain
	for i := 0; i < attempts && errors.Is(err, errAgain); i++ {
		var changes []*change
		noticed, discarded := len(l.result.Notices), l.result.Discards
		err = l.db.inTx(ctx, func(ctx context.Context) error {
			var s state
			var err error
			if s, changes, err = l.locked(ctx); err != nil || len(changes) > 0 {
				return errors.Join(err, again(changes))
			}
			return fn(ctx, s)
		})
		if busy(err) {
			return l.heldBy(ctx, err)
		}
		if changedUnder(err) {
			err = fmt.Errorf("%w: %w", errAgain, err)
		}
		if err != nil {
			l.result.Notices, l.result.Discards = l.result.Notices[:noticed], discarded
			clear(l.result.Rows)
		}
		if errors.Is(err, errAgain) && len(changes) > 0 {
			if evolveErr := l.evolve(ctx, changes); madeBeside(evolveErr) {
				err = fmt.Errorf("%w: %w", errAgain, evolveErr)
			} else if evolveErr != nil {
				return evolveErr
			}
		}
	}
	if errors.Is(err, errAgain) && !changedUnder(err) {
		return &ill{kind: warehouse.Busy, err: err, hint: "let one program at a time load into a schema or change its tables; it is tried again"}
	}
	return err
}

// heldBy says who is in the way of the rows, or, before any table was asked for, of the position.
func (l *loading) heldBy(ctx context.Context, err error) error {
	if len(l.held) > 0 {
		return l.db.heldBy(ctx, "one of the tables", l.held, rowBlockers[:], err)
	}
	var positions int64
	if readErr := l.db.conn.QueryRow(ctx, "SELECT '_firth.positions'::regclass::oid::bigint").Scan(&positions); readErr != nil {
		return err
	}
	return l.db.heldBy(ctx, "the position of "+l.source, []int64{positions}, positionBlockers[:], err)
}

func again(changes []*change) error {
	if len(changes) > 0 {
		return errAgain
	}
	return nil
}

// changedUnder reports whether a table was dropped or made between a look at it and its lock.
func changedUnder(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// madeBeside reports whether a schema, table or column was made by somebody else while it was about to be.
func madeBeside(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "42P06", "42P07", "42701", "42710": // the last one is of the row type that every table has
		return true
	case "23505": // two at the same moment meet in the server's own catalogue
		return pg.SchemaName == "pg_catalog"
	}
	return false
}

// locked locks the tables for writing rows and reads them. Where something is lacking it returns the changes, and the transaction
// should end.
func (l *loading) locked(ctx context.Context) (state, []*change, error) {
	names := l.names()
	if len(names) == 0 {
		return state{}, nil, nil
	}
	l.held = l.held[:0]
	if l.moves {
		// Before tables are made for a batch that is in already, or begins elsewhere.
		if done, err := l.checkPosition(ctx); err != nil || done {
			return state{}, nil, err
		}
	}
	guess, err := l.db.guess(ctx, l.source, l.schema, names)
	if err != nil {
		return nil, nil, err
	}
	var targets []string
	for _, n := range names {
		if guess[n] != 0 {
			l.held = append(l.held, guess[n])
			targets = append(targets, qualified(l.schema, n))
		}
	}
	if len(targets) > 0 {
		if _, err := l.db.conn.Exec(ctx, lockTimeout(rowsLock)); err != nil {
			return nil, nil, err
		}
		if _, err := l.db.conn.Exec(ctx, lockTables(targets, "ROW EXCLUSIVE")); err != nil {
			return nil, nil, err
		}
	}
	s, err := l.db.readState(ctx, l.source, l.schema, names)
	if err != nil {
		return nil, nil, err
	}
	changes, err := plan(l.schema, l.tables(), s, l.blocked)
	if err != nil || len(changes) > 0 {
		return nil, changes, err
	}
	if !s.like(guess, names) {
		return nil, nil, errAgain
	}
	l.db.guessed[l.schema] = guess
	return s, nil, nil
}

// checkPosition says whether the batch is in already.
func (l *loading) checkPosition(ctx context.Context) (bool, error) {
	var at int64
	err := l.db.conn.QueryRow(ctx, "SELECT position FROM _firth.positions WHERE source = $1 AND log = $2 FOR UPDATE", l.source, l.batch.Log).Scan(&at)
	switch {
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return false, fmt.Errorf("read the position: %w", err)
	case uint64(at) >= l.batch.To:
		return true, nil
	case uint64(at) != l.batch.From:
		return false, &ill{
			kind: warehouse.Moved,
			err:  fmt.Errorf("the warehouse is at offset %d of journal %s, the batch begins at %d", at, l.batch.Log, l.batch.From),
		}
	}
	return false, nil
}

func (l *loading) movePosition(ctx context.Context) error {
	b := l.batch
	tag, err := l.db.conn.Exec(ctx, "INSERT INTO _firth.positions AS p VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, log) DO UPDATE SET "+
		"position = excluded.position, loaded_through = greatest(p.loaded_through, excluded.loaded_through), loaded_at = excluded.loaded_at "+
		"WHERE p.position = $6",
		l.source, b.Log, int64(b.To), instant(b.ReceivedThrough), l.now, int64(b.From))
	if err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	if tag.RowsAffected() == 0 { // somebody else loaded the first batch of the journal at the same time
		return &ill{kind: warehouse.Moved, err: fmt.Errorf("the position of journal %s was moved by another loader", b.Log)}
	}
	return nil
}

// write writes rows and discards into tables that are as they must be.
func (l *loading) write(ctx context.Context, s state) error {
	w := &writer{loading: l, state: s}
	for _, t := range l.want {
		var err error
		switch {
		case t.upsert && l.replays:
			err = w.recompute(ctx, t)
		case t.upsert:
			err = w.upsert(ctx, t)
		default:
			err = w.append(ctx, t)
		}
		if err != nil {
			return fmt.Errorf("write to %s: %w", t.Name, err)
		}
	}
	if err := w.list(ctx, slices.Concat(l.batch.Discards, w.unfit)); err != nil {
		return fmt.Errorf("write to %s: %w", warehouse.Discards, err)
	}
	return nil
}

// Prepare makes the schema and those of the tables that are missing, and takes over the tables of an event collector that it finds
// there.
func (d *DB) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	b := &warehouse.Batch{Source: source, Schema: schema}
	return d.turn(ctx, "prepare", source, loadWithin, func(ctx context.Context) error {
		l, err := d.newLoading(b)
		if err != nil {
			return err
		}
		for _, t := range tables {
			l.want = append(l.want, wanted{Batch: &table.Batch{Name: t.Name, Columns: t.Columns}, upsert: t.Name == "users" || t.Name == "accounts",
				scanned: &scanned{used: make([]bool, len(t.Columns)), minReceived: event.NoTime}})
		}
		found, err := d.texts(ctx, foreignSQL, source, schema)
		if err != nil {
			return fmt.Errorf("look for tables to take over: %w", err)
		}
		have := map[string]bool{}
		for _, w := range l.want {
			have[w.Name] = true
		}
		for _, name := range found {
			if !have[name] {
				l.want = append(l.want, wanted{Batch: &table.Batch{Name: name}, scanned: &scanned{minReceived: event.NoTime}})
			}
		}
		err = l.settle(ctx, func(context.Context, state) error { return nil })
		d.notices[l.schema] = append(d.notices[l.schema], l.result.Notices...)
		return err
	})
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
