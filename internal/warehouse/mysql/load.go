package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// loading is one load under way.
type loading struct {
	db      *DB
	session session
	batch   *warehouse.Batch
	now     time.Time
	replay  bool
	tables  tables
	stuck   map[*column]bool
	unfit   []event.Discard
	result  *warehouse.Result
	work    []step // of the transaction
	stages  int
}

// step is a statement or two of the transaction of a load.
type step func(ctx context.Context) error

// Load brings the tables to the columns of the batch and then writes rows, discards and position in one transaction. A batch that the
// position says is in already is left alone (Duplicate); one that does not begin at the position is an error of kind
// warehouse.Moved. After an error no row of the batch is in; columns that were made for it stay, empty.
func (d *DB) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	return d.write(ctx, "load", b, false)
}

// write is Load and Replay. What is remembered of the schema may be out of date when somebody changes tables: an error that says so
// is tried once more with what is there now.
func (d *DB) write(ctx context.Context, op string, b *warehouse.Batch, replay bool) (*warehouse.Result, error) {
	if b.Schema == "" || slices.Contains(reserved, strings.ToLower(b.Schema)) {
		return nil, &warehouse.Error{
			Op: op, Object: b.Source, Kind: warehouse.BadName,
			Err: fmt.Errorf("the schema %q is taken", b.Schema), Hint: "rename the source: " + strings.Join(reserved, ", ") + " are taken",
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for again := false; ; again = true {
		_, cached := d.known[memory(b)]
		l := &loading{
			db: d, batch: b, now: d.now().UTC().Truncate(time.Microsecond), replay: replay, stuck: map[*column]bool{},
			result: &warehouse.Result{Rows: map[string]int64{}},
		}
		err := d.withSession(ctx, func(s session) error {
			l.session = s
			return l.run(ctx)
		})
		if err == nil {
			if l.tables != nil {
				d.known[memory(b)] = l.tables
			}
			return l.result, nil
		}
		delete(d.known, memory(b))
		if !cached || again || !outOfDate(err) {
			return nil, d.fail(op, b.Source, err)
		}
	}
}

// memory is the key of what is remembered for a batch's schema.
func memory(b *warehouse.Batch) string { return b.Source + "\x00" + b.Schema }

func (l *loading) run(ctx context.Context) error {
	if err := l.db.settled(ctx, l.session); err != nil {
		return err
	}
	if !l.replay {
		done, err := l.checkPosition(ctx, "")
		if err != nil {
			return err
		}
		if done {
			l.result.Duplicate = true
			return nil
		}
	}
	if len(l.batch.Tables)+len(l.batch.Upserts)+len(l.batch.Discards) > 0 {
		if err := l.ready(ctx); err != nil {
			return err
		}
	}
	if err := l.db.step("begin"); err != nil {
		return err
	}
	return l.session.inTx(ctx, func() error { return l.transact(ctx) })
}

// ready does all that goes before the transaction: what fits is found out, tables are brought to the columns, and rows that need
// looking up are staged.
func (l *loading) ready(ctx context.Context) error {
	if err := l.readTables(ctx); err != nil {
		return err
	}
	for _, t := range slices.Concat(l.batch.Tables, l.batch.Upserts) {
		if err := checkCells(t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	if err := l.evolve(ctx); err != nil {
		return err
	}
	for _, t := range l.batch.Tables {
		set, err := l.fitted(ctx, t)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if err := l.planRows(ctx, set); err != nil {
			return fmt.Errorf("append to %s: %w", t.Name, err)
		}
	}
	for _, t := range l.batch.Upserts {
		plan := l.planMerge
		if l.replay {
			plan = l.planAnew
		}
		if err := plan(ctx, t); err != nil {
			return fmt.Errorf("merge into %s: %w", t.Name, err)
		}
	}
	return l.planDiscards(ctx)
}

func (l *loading) transact(ctx context.Context) error {
	if !l.replay {
		done, err := l.checkPosition(ctx, " FOR UPDATE")
		if err != nil {
			return err
		}
		if done {
			l.result = &warehouse.Result{Duplicate: true, Rows: map[string]int64{}, Notices: l.result.Notices}
			return nil
		}
	}
	for _, do := range l.work {
		if err := do(ctx); err != nil {
			return err
		}
	}
	if l.replay {
		return nil
	}
	if err := l.movePosition(ctx); err != nil {
		return err
	}
	return l.db.step("commit")
}

// readTables takes what is remembered of the schema, or reads it, and does so anew when called again.
func (l *loading) readTables(ctx context.Context) error {
	if known, ok := l.db.known[memory(l.batch)]; ok && l.tables == nil {
		l.tables = known
		return nil
	}
	var err error
	l.tables, err = l.db.readSchema(ctx, l.session, l.batch.Source, l.batch.Schema)
	return err
}

// fitted is fit, after columns have grown where that helps.
func (l *loading) fitted(ctx context.Context, t *table.Batch) (*rowSet, error) {
	set, unfit, grow := l.fit(t)
	if len(grow) > 0 {
		name := l.db.key(t.Name)
		if err := l.grow(ctx, l.tables[name], grow); err != nil {
			return nil, err
		}
		if err := l.readTables(ctx); err != nil {
			return nil, err
		}
		for _, c := range grow {
			if now := l.tables[name].find(c.name); now != nil {
				now.stuck = true // further is not to be had
			}
		}
		set, unfit, _ = l.fit(t)
		for _, c := range grow {
			if now := l.tables[name].find(c.name); now != nil {
				now.stuck = false
			}
		}
	}
	l.unfit = append(l.unfit, unfit...)
	return set, nil
}

// planRows appends rows. Those that may be in the table already are staged, and only those with a new id are appended.
func (l *loading) planRows(ctx context.Context, set *rowSet) error {
	if len(set.rows) == 0 {
		return nil
	}
	target := qualified(l.batch.Schema, set.relation.name)
	name := set.batch.Name
	unless, old := l.mayBeIn(set)
	if l.replay || set.relation.unique {
		set.once()
	}
	if !old {
		l.work = append(l.work, func(ctx context.Context) error {
			if err := l.write(ctx, set, target); err != nil {
				return fmt.Errorf("append to %s: %w", name, &inTable{l.batch.Schema, set.relation, err})
			}
			l.result.Rows[name] += int64(len(set.rows))
			return nil
		})
		return nil
	}
	if err := l.needKey(ctx, set); err != nil {
		return err
	}
	stage, err := l.stage(ctx, set)
	if err != nil {
		return err
	}
	l.work = append(l.work, func(ctx context.Context) error {
		n, err := l.session.count(ctx, insertMissing(target, stage, append(set.names(), set.stamps...), unless))
		if err != nil {
			return fmt.Errorf("append to %s: %w", name, &inTable{l.batch.Schema, set.relation, err})
		}
		l.result.Rows[name] += n
		return nil
	})
	return nil
}

// mayBeIn says whether rows of the set may be in the table already, and the condition that tells those which are not.
func (l *loading) mayBeIn(set *rowSet) (unless string, may bool) {
	r := set.relation
	if l.replay || r.unique {
		return "", true
	}
	if !r.adopted || r.through == event.NoTime {
		return "", false
	}
	for i := range set.rows {
		v := set.batch.Get(i, "received_at")
		if v.Type == table.Timestamp && v.Int64() > r.through {
			continue
		}
		if c := r.find("received_at"); c != nil && c.typ == table.Timestamp && slices.Contains(set.columns, c) {
			return "s." + quote("received_at") + " > " + timeLiteral(r.through), true
		}
		return "", true
	}
	return "", false
}

// needKey makes the index by which ids are looked up, where the table lacks one.
func (l *loading) needKey(ctx context.Context, set *rowSet) error {
	r, id := set.relation, set.columns[0]
	if r.keyed || id.name != "id" {
		return nil
	}
	err := l.session.exec(ctx, addKey(l.batch.Schema, r.name, id.name, id.long()))
	if err != nil && number(err) != errKeyExists {
		return fmt.Errorf("make an index on the id: %w", err)
	}
	r.keyed = true
	l.notice("%s.%s got the index %s on its id, for rows that may be in it already", l.batch.Schema, r.name, keyName)
	return nil
}

// stage writes the rows into a temporary table and returns its name.
func (l *loading) stage(ctx context.Context, set *rowSet) (string, error) {
	l.stages++
	stage := qualified(bookkeeping, fmt.Sprintf("stage_%d", l.stages))
	columns := slices.Clone(set.columns)
	for _, s := range set.stamps {
		columns = append(columns, set.relation.find(s))
	}
	if err := l.session.exec(ctx, dropStage(stage)); err != nil {
		return "", fmt.Errorf("drop a stage: %w", err)
	}
	if err := l.session.exec(ctx, createStage(stage, columns)); err != nil {
		return "", fmt.Errorf("make a stage: %w", err)
	}
	if err := l.write(ctx, set, stage); err != nil {
		return "", fmt.Errorf("fill a stage: %w", err)
	}
	return stage, nil
}

func (l *loading) planDiscards(ctx context.Context) error {
	list := slices.Concat(l.batch.Discards, l.unfit)
	if l.replay {
		list = discardsOnce(list)
	}
	if len(list) == 0 {
		return nil
	}
	t := discardRows(list)
	set, err := l.fitted(ctx, t)
	if err != nil {
		return err
	}
	target := qualified(l.batch.Schema, set.relation.name)
	stage := ""
	if l.replay {
		if stage, err = l.stage(ctx, set); err != nil {
			return err
		}
	}
	l.work = append(l.work, func(ctx context.Context) error {
		n := int64(len(list))
		if stage == "" {
			err = l.write(ctx, set, target)
		} else {
			n, err = l.session.count(ctx, insertNewDiscards(target, stage, append(set.names(), set.stamps...)))
		}
		if err != nil {
			return fmt.Errorf("append to %s: %w", warehouse.Discards, err)
		}
		l.result.Discards += n
		return nil
	})
	return nil
}

// checkPosition says whether the batch is in already; lock ends the statement.
func (l *loading) checkPosition(ctx context.Context, lock string) (bool, error) {
	var at uint64
	err := l.session.QueryRowContext(ctx, tagged("SELECT position FROM `_firth`.`positions` WHERE source = ? AND log = ?"+lock), l.batch.Source, l.batch.Log).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("read the position: %w", err)
	}
	return l.batch.In(at)
}

func (l *loading) movePosition(ctx context.Context) error {
	b := l.batch
	through := timeLiteral(b.ReceivedThrough)
	n, err := l.session.count(ctx, "UPDATE `_firth`.`positions` SET position = ?, loaded_at = ?, loaded_through = CASE WHEN loaded_through IS NULL OR loaded_through < "+
		through+" THEN "+through+" ELSE loaded_through END WHERE source = ? AND log = ? AND position = ?", b.To, l.now, b.Source, b.Log, b.From)
	if err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	if n > 0 {
		return nil
	}
	err = l.session.exec(ctx, "INSERT INTO `_firth`.`positions` (source, log, position, loaded_through, loaded_at) VALUES (?, ?, ?, ?, ?)",
		b.Source, b.Log, b.To, instant(b.ReceivedThrough), l.now)
	if number(err) == errDuplicate { // somebody else loaded the first batch of the journal at the same time
		return &warehouse.Error{Op: "load", Object: b.Source, Kind: warehouse.Moved, Err: fmt.Errorf("the position of journal %s was moved by another loader", b.Log)}
	}
	if err != nil {
		return fmt.Errorf("set the position: %w", err)
	}
	return nil
}

// instant is a timestamp parameter of Unix microseconds; event.NoTime is NULL.
func instant(micros int64) any {
	if micros == event.NoTime {
		return nil
	}
	return time.UnixMicro(micros).UTC()
}

// Prepare makes the schema of a source and those of the tables that it does not have yet, without rows.
func (d *DB) Prepare(ctx context.Context, source, schema string, list []*table.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &warehouse.Batch{Source: source, Schema: schema, Tables: list}
	for i, t := range list {
		if t.Name == "users" || t.Name == "accounts" {
			b.Tables = slices.Delete(slices.Clone(b.Tables), i-len(b.Upserts), i-len(b.Upserts)+1)
			b.Upserts = append(b.Upserts, t)
		}
	}
	l := &loading{db: d, batch: b, now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}}}
	err := d.withSession(ctx, func(s session) error {
		l.session = s
		if err := d.settled(ctx, s); err != nil {
			return err
		}
		if err := l.readTables(ctx); err != nil {
			return err
		}
		return l.evolve(ctx)
	})
	if err != nil {
		delete(d.known, memory(b))
		return d.fail("prepare", source, err)
	}
	for _, n := range l.result.Notices {
		d.log.InfoContext(ctx, n, "warehouse", d.login.place(), "source", source)
	}
	d.known[memory(b)] = l.tables
	return nil
}
