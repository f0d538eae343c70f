package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// loading is one load under way.
type loading struct {
	db      *DB
	batch   *warehouse.Batch
	now     time.Time
	replay  bool // rows that are there already are left out, and no position moves
	state   *state
	targets []*target // tables, upserts
	discard *target
	staging *staging
	result  *warehouse.Result
}

// Load writes the batch: first the tables and columns that are missing, each for itself, then in one transaction the rows, the discards
// and the position. A batch that the position says is in already is left alone (Duplicate); one that does not begin at the position is
// an error of kind warehouse.Moved. After an error none of its rows are in, and its parts are removed or will be.
func (d *DB) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.newLoading(b, false)
	if err := l.load(ctx); err != nil {
		return nil, d.fail("load", b.Source, err)
	}
	return l.result, nil
}

// Replay writes in one transaction those rows whose id their table does not hold, and computes the users and accounts that the batch
// names anew from identifies and groups. No position moves.
func (d *DB) Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.newLoading(b, true)
	if err := l.load(ctx); err != nil {
		return nil, d.fail("replay", b.Source, err)
	}
	return l.result, nil
}

// Prepare makes the schema of a source and those of the tables that it does not have yet, without rows; tables of others are taken over.
func (d *DB) Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.newLoading(&warehouse.Batch{Source: source, Schema: schema, Tables: tables}, false)
	err := l.begin(ctx)
	if err == nil {
		if err = l.plan(ctx); err == nil {
			err = l.evolve(ctx)
		}
	}
	if err != nil {
		return d.fail("prepare", source, err)
	}
	return nil
}

func (d *DB) newLoading(b *warehouse.Batch, replay bool) *loading {
	return &loading{
		db: d, batch: b, replay: replay, now: d.options.Now().UTC().Truncate(time.Microsecond),
		result: &warehouse.Result{Rows: map[string]int64{}},
	}
}

// begin refuses schemas that belong to others, and connects.
func (l *loading) begin(ctx context.Context) error {
	s := strings.ToLower(l.batch.Schema)
	if s == "" || s == "_firth" || s == "information_schema" || s == "pg_catalog" || strings.HasPrefix(s, "pg_") {
		return &warehouse.Error{
			Op: "load", Object: l.batch.Source, Kind: warehouse.BadName, Err: fmt.Errorf("the schema %q is taken", l.batch.Schema),
			Hint: "rename the source: _firth, information_schema and names that begin with pg_ are taken",
		}
	}
	l.db.schema = l.batch.Schema
	return l.db.connected(ctx)
}

func (l *loading) load(ctx context.Context) error {
	if err := l.begin(ctx); err != nil {
		return err
	}
	if !l.replay {
		// Asked once before anything is written, and again when nobody else can move it.
		if done, err := l.checkPosition(ctx); done || err != nil {
			return err
		}
	}
	if len(l.batch.Tables)+len(l.batch.Upserts)+len(l.batch.Discards) == 0 {
		return l.write(ctx)
	}
	for {
		l.staging = l.db.newStaging()
		err := l.attempt(ctx)
		if err != nil && rejectedText.MatchString(err.Error()) {
			err = l.db.rejection(ctx, l.staging.dir, err)
		}
		l.db.remove(ctx, l.staging.keys)
		if !errors.Is(err, errStuck) {
			return err
		}
	}
}

func (l *loading) attempt(ctx context.Context) error {
	if err := l.plan(ctx); err != nil {
		return err
	}
	if err := l.stage(ctx); err != nil {
		return err
	}
	if err := l.evolve(ctx); err != nil {
		return err
	}
	return l.write(ctx)
}

// plan compares the batch with what there is.
func (l *loading) plan(ctx context.Context) error {
	b := l.batch
	names := []string{warehouse.Discards}
	for _, t := range slices.Concat(b.Tables, b.Upserts) {
		names = append(names, t.Name)
	}
	var err error
	if l.state, err = l.db.readState(ctx, b.Source, b.Schema, names); err != nil {
		return err
	}
	for key := range l.db.stuck {
		if schema, rest, _ := strings.Cut(key, "\x00"); schema == b.Schema {
			l.state.pin(rest)
		}
	}
	l.targets = nil
	for i, t := range slices.Concat(b.Tables, b.Upserts) {
		if l.replay && i < len(b.Tables) {
			t = once(t)
		}
		target, err := l.state.newTarget(t, i >= len(b.Tables), false)
		if err != nil {
			return err
		}
		l.targets = append(l.targets, target)
	}
	l.discard, err = l.state.newTarget(discardBatch(warehouse.Discards, nil), false, true)
	return err
}

// stage writes the rows into parts.
func (l *loading) stage(ctx context.Context) error {
	list := slices.Clone(l.batch.Discards)
	for i, t := range l.targets {
		unfit, err := l.staging.stageRows(ctx, t, fmt.Sprintf("%04d", i))
		if err != nil {
			return fmt.Errorf("write the parts of %s: %w", t.name, err)
		}
		list = append(list, unfit...)
	}
	if l.replay {
		list = onceEach(list)
	}
	var err error
	if l.discard, err = l.state.newTarget(discardBatch(warehouse.Discards, list), false, true); err != nil {
		return err
	}
	if _, err := l.staging.stageRows(ctx, l.discard, "discards"); err != nil {
		return fmt.Errorf("write the parts of %s: %w", warehouse.Discards, err)
	}
	return nil
}

// write is the transaction of the rows.
func (l *loading) write(ctx context.Context) error {
	result := &warehouse.Result{Rows: map[string]int64{}, Notices: l.result.Notices, Discards: l.result.Discards}
	err := l.db.inTx(ctx, func() error {
		if !l.replay {
			if done, err := l.checkPosition(ctx); done || err != nil {
				return err
			}
		}
		for i, t := range l.targets {
			if t.manifest == "" {
				continue
			}
			n, err := l.writeTable(ctx, t, stageName(i))
			if err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
			result.Rows[t.batch.Name] += n
		}
		if l.discard != nil && l.discard.manifest != "" {
			n, err := l.writeTable(ctx, l.discard, stageName(len(l.targets)))
			if err != nil {
				return fmt.Errorf("table %s: %w", warehouse.Discards, err)
			}
			result.Discards += n
		}
		if l.replay {
			return nil
		}
		return l.movePosition(ctx)
	})
	if err == nil && !l.result.Duplicate {
		l.result = result
	}
	return err
}

// writeTable copies the parts of a table and puts them where they belong; it returns how many rows of the target were written.
func (l *loading) writeTable(ctx context.Context, t *target, stage string) (int64, error) {
	if err := l.copy(ctx, t, stage); err != nil {
		return 0, err
	}
	n, err := l.merge(ctx, t, stage)
	if err != nil {
		return 0, err
	}
	if err := l.db.run(ctx, "DROP TABLE "+stage); err != nil {
		return 0, err
	}
	return n, nil
}

func (l *loading) merge(ctx context.Context, t *target, stage string) (int64, error) {
	schema, list := l.batch.Schema, t.assignments(stamp(l.now))
	received := ""
	for _, a := range list {
		if a.column == "received_at" {
			received = a.expr
		}
	}
	var statement string
	switch {
	case t == l.discard && l.replay:
		statement = insertNewDiscards(schema, stage, list)
	case t.upsert && l.replay:
		return l.recompute(ctx, t, stage)
	case t.upsert:
		if update := updateRows(schema, t.name, stage, list); update != "" {
			if err := l.db.run(ctx, update); err != nil {
				return 0, err
			}
		}
		return int64(len(t.batch.Rows)), l.db.run(ctx, insertMissing(schema, t.name, stage, list))
	case l.replay || t.known != nil && !t.known.adoptedThrough.IsZero() && received == "":
		statement = insertMissing(schema, t.name, stage, list)
	case t.known != nil && !t.known.adoptedThrough.IsZero():
		statement = insertAfter(schema, t.name, stage, list, received, stamp(t.known.adoptedThrough))
	default:
		statement = insertRows(schema, t.name, stage, list)
	}
	r, err := l.db.exec(ctx, statement)
	if err != nil {
		return 0, err
	}
	return r.affected, nil
}

// copy makes the staging table and fills it. What came in is counted: COPY says nothing of a part that was cut short.
func (l *loading) copy(ctx context.Context, t *target, stage string) error {
	if err := l.db.run(ctx, createStage(stage, t.stage)); err != nil {
		return fmt.Errorf("make the staging table: %w", err)
	}
	if err := l.db.copyStaged(ctx, stage, len(t.stage), t.manifest, l.staging.null); err != nil {
		return err
	}
	r, err := l.db.exec(ctx, "SELECT count(*) FROM "+stage)
	if err != nil {
		return err
	}
	if got := r.rows[0][0].String; got != strconv.Itoa(len(t.batch.Rows)) {
		return &warehouse.Error{
			Op: "copy into", Object: t.name, Kind: warehouse.Unstaged, Err: fmt.Errorf("%s of %d rows came in", got, len(t.batch.Rows)),
			Hint: "nothing of them was kept, and it is tried again; see that nobody else writes or removes below " + l.db.store.String(),
		}
	}
	return nil
}

// copyStaged runs COPY, and asks for the reason where it fails.
func (d *DB) copyStaged(ctx context.Context, stage string, columns int, manifest, null string) error {
	from := copySource{manifest: manifest, role: d.options.IAMRole, region: d.store.Region(), null: null}
	if from.role == "" {
		keys, err := d.store.Keys()
		if err != nil {
			return err
		}
		d.keep(keys.Secret, keys.Token)
		from.keys = keys
	}
	if _, err := d.exec(ctx, copyParts(stage, columns, from)); err != nil {
		return fmt.Errorf("copy the parts: %w", err)
	}
	return nil
}

// rejection adds to the error of a COPY what the cluster wrote down about it, where that can be read: the newer of its two logs, or the
// older.
func (d *DB) rejection(ctx context.Context, dir string, err error) error {
	of := " LIKE " + literal("%/"+dir+"%") + " ORDER BY "
	for _, statement := range []string{
		"SELECT file_name, line_number, column_name, error_message FROM sys_load_error_detail WHERE file_name" + of + "start_time DESC LIMIT 1",
		"SELECT filename, line_number, colname, err_reason FROM stl_load_errors WHERE filename" + of + "starttime DESC LIMIT 1",
	} {
		r, failed := d.exec(ctx, statement)
		if failed != nil || len(r.rows) == 0 {
			continue
		}
		row := r.rows[0]
		return fmt.Errorf("%w: line %s of %s, column %s: %s", err, row[1].String, strings.TrimSpace(row[0].String), strings.TrimSpace(row[2].String), strings.TrimSpace(row[3].String))
	}
	return err
}

// keep notes secrets that statements hold from now on.
func (d *DB) keep(list ...string) {
	for _, s := range list {
		if s != "" && !slices.Contains(d.secrets, s) {
			d.secrets = append(d.secrets, s)
		}
	}
}

// checkPosition says whether the batch is in already.
func (l *loading) checkPosition(ctx context.Context) (bool, error) {
	b := l.batch
	r, err := l.db.exec(ctx, "SELECT position FROM _firth.positions WHERE source = "+literal(b.Source)+" AND log = "+literal(b.Log))
	if err != nil {
		return false, fmt.Errorf("read the position: %w", err)
	}
	var at uint64
	if len(r.rows) > 0 {
		if at, err = strconv.ParseUint(r.rows[0][0].String, 10, 64); err != nil {
			return false, fmt.Errorf("read the position: %w", err)
		}
	}
	switch {
	case at >= b.To:
		l.result = &warehouse.Result{Duplicate: true}
		return true, nil
	case at != b.From:
		return false, &warehouse.Error{
			Op: "load", Object: b.Source, Kind: warehouse.Moved,
			Err: fmt.Errorf("the warehouse is at offset %d of journal %s, the batch begins at %d", at, b.Log, b.From),
		}
	}
	return false, nil
}

func (l *loading) movePosition(ctx context.Context) error {
	b := l.batch
	to, now := strconv.FormatUint(b.To, 10), stamp(l.now)
	through := stampOf(b.ReceivedThrough, b.ReceivedThrough != event.NoTime)
	key := "source = " + literal(b.Source) + " AND log = " + literal(b.Log)
	r, err := l.db.exec(ctx, "UPDATE _firth.positions SET position = "+to+", loaded_at = "+now+
		", loaded_through = CASE WHEN loaded_through IS NULL OR "+through+" > loaded_through THEN "+through+" ELSE loaded_through END WHERE "+key)
	if err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	if r.affected > 0 {
		return nil
	}
	err = l.db.run(ctx, "INSERT INTO _firth.positions (source, log, position, loaded_through, loaded_at) VALUES ("+
		strings.Join([]string{literal(b.Source), literal(b.Log), to, through, now}, ", ")+")")
	if err != nil {
		return fmt.Errorf("set the position: %w", err)
	}
	return nil
}
