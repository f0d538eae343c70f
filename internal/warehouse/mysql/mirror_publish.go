package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// publishing is one publication. What is to be done is first written into two temporary tables: the rows of the table that go, and
// those of the stage that come. Whatever the mode, the transaction then does no more than that.
type publishing struct {
	*Stage
	session session
	p       *warehouse.Publication
	record  *record
	result  *warehouse.Published
	columns []vector.Column // of the stage
	all     []vector.Column // of the table, when it is published
	update  int64           // rows that go and come again
	kids    []*publishing
	found   bool // the table was there
	listed  bool // and, of a child, its table of rejects is
}

// Temporary tables of a session.
const (
	goneTable  = "`_firth`.`_firth_gone`"
	comeTable  = "`_firth`.`_firth_come`"
	askedTable = "`_firth`.`_firth_asked`"
	askedAgain = "`_firth`.`_firth_asked_again`" // MySQL names a temporary table once a statement
)

// Publish makes the rows visible and ends the stage. One that fails has happened or has not when it returns.
func (g *Stage) Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := &publishing{Stage: g, p: p, columns: slices.Clone(g.columns)}
	err := g.m.db.withSession(ctx, func(s session) error {
		out.session, out.result = s, &warehouse.Published{}
		if err := g.m.must(ctx, s, g.table); err != nil {
			return err
		}
		// Statements that delete from tables joined with derived ones want a database to be chosen, whichever.
		if err := s.exec(ctx, "USE "+quote(bookkeeping)); err != nil {
			return err
		}
		if err := out.run(ctx); err != nil {
			return err
		}
		return unlock(ctx, s, g.table.Name)
	})
	if err != nil {
		if !g.m.dead {
			g.m.await(ctx, g.table)
		}
		return nil, g.m.db.fail("publish", g.table.Name, err)
	}
	return out.result, nil
}

// await returns when a publication that failed has ended on the server, too, and settles it.
func (m *Mirrors) await(ctx context.Context, t warehouse.MirrorTable) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*stopWithin)
	defer cancel()
	err := m.db.withSession(ctx, func(s session) error {
		_, err := m.settled(ctx, s, t, lockSeconds)
		return err
	})
	if err != nil {
		m.db.log.WarnContext(ctx, "a publication that failed could not be looked at; the next run does", "mirror", t.Name, "error", err)
	}
}

func (p *publishing) run(ctx context.Context) (err error) {
	if p.record, err = p.m.settle(ctx, p.session, p.table); err != nil {
		return err
	}
	whole := p.p.Mode == warehouse.PublishReplace && !p.p.History
	if key := p.key(); len(key) > 0 && !whole {
		if err := p.noKey(ctx, key); err != nil {
			return err
		}
	}
	if err := p.meetChildren(ctx); err != nil {
		return err
	}
	if whole {
		return p.replace(ctx)
	}
	if p.p.Mode == warehouse.PublishIDs {
		return p.publishIDs(ctx)
	}
	if p.found, err = exists(ctx, p.session, p.table.Schema, p.table.Table); err != nil {
		return err
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	if err := p.readyChildren(ctx); err != nil {
		return err
	}
	if err := p.index(ctx, p.name); err != nil {
		return err
	}
	if err := p.temporary(ctx); err != nil {
		return err
	}
	if len(p.key()) > 0 && p.p.Mode != warehouse.PublishGroups && p.p.Mode != warehouse.PublishAppend {
		if len(p.kids) > 0 {
			if err := p.once(ctx); err != nil {
				return err
			}
		}
		if err := p.session.exec(ctx, dedupeStage(p.target(), p.key())); err != nil {
			return fmt.Errorf("keep the last row of each key: %w", err)
		}
	}
	rejects := qualified(p.table.Schema, rejectsName(p.table))
	listed, err := exists(ctx, p.session, p.table.Schema, rejectsName(p.table))
	if err == nil {
		err = p.ownRejects(ctx, listed)
	}
	if err == nil && !listed && len(p.p.Rejects) > 0 {
		listed, err = true, p.rejectsTable(ctx, rejects)
	}
	if err != nil {
		return err
	}
	if err := p.session.inTx(ctx, func() error { return p.write(ctx, rejects, listed) }); err != nil {
		return err
	}
	return p.dropAll(ctx)
}

// dropAll drops the stages.
func (p *publishing) dropAll(ctx context.Context) error {
	for _, kid := range p.kids {
		if err := kid.drop(ctx, p.session); err != nil {
			return err
		}
	}
	return p.drop(ctx, p.session)
}

// key is what rows are told apart by.
func (p *publishing) key() []string {
	switch p.p.Mode {
	case warehouse.PublishGroups, warehouse.PublishIDs:
		return []string{"id"}
	}
	return p.p.Key
}

// temporary makes the temporary tables, which are no part of a transaction.
func (p *publishing) temporary(ctx context.Context) error {
	for _, name := range []string{goneTable, comeTable} {
		for _, statement := range []string{"DROP TEMPORARY TABLE IF EXISTS " + name, "CREATE TEMPORARY TABLE " + name + " (r BIGINT UNSIGNED NOT NULL PRIMARY KEY) ENGINE = InnoDB"} {
			if err := p.session.exec(ctx, statement); err != nil {
				return fmt.Errorf("make a temporary table: %w", err)
			}
		}
	}
	if p.p.Mode != warehouse.PublishGroups {
		return nil
	}
	kind := "LONGTEXT"
	if i := findColumn(p.columns, "id"); i >= 0 {
		kinds, err := physicals(ctx, p.session, p.table.Schema, p.name)
		if err != nil {
			return err
		}
		kind = kinds["id"]
	}
	asked := physical{"id", strings.ToUpper(kind)}
	list := []physical{asked}
	for _, name := range []string{askedTable, askedAgain} {
		for _, statement := range []string{"DROP TEMPORARY TABLE IF EXISTS " + name,
			"CREATE TEMPORARY TABLE " + name + " (n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, " + mirrorColumn("id", asked.kind, p.m.db.server.collation) + ", KEY (" + keyList(list) + ")) ENGINE = InnoDB"} {
			if err := p.session.exec(ctx, statement); err != nil {
				return fmt.Errorf("make a temporary table: %w", err)
			}
		}
	}
	if err := p.writeAsked(ctx); err != nil {
		return err
	}
	return p.session.exec(ctx, "INSERT INTO "+askedAgain+" (id) SELECT id FROM "+askedTable)
}

func (p *publishing) writeAsked(ctx context.Context) error {
	if p.p.Asked == nil {
		return nil
	}
	var values []string
	send := func() error {
		if len(values) == 0 {
			return nil
		}
		err := p.session.exec(ctx, "INSERT INTO "+askedTable+" (id) VALUES "+strings.Join(values, ", "))
		values = values[:0]
		return err
	}
	for row := range p.p.Asked.Len() {
		if text, ok := mirrorLiteral(p.p.Asked, row); ok && p.p.Asked.Valid[row] {
			values = append(values, "("+text+")")
		}
		if len(values) == 1000 {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// write is the transaction.
func (p *publishing) write(ctx context.Context, rejects string, listed bool) error {
	var err error
	switch {
	case p.p.Mode == warehouse.PublishAppend:
		err = p.planAppend(ctx)
	case p.p.Mode == warehouse.PublishGroups:
		err = p.planGroups(ctx)
	case p.p.Mode == warehouse.PublishReplace && len(p.p.Key) == 0:
		err = p.planWhole(ctx)
	case p.p.Mode == warehouse.PublishUpsert, p.p.Mode == warehouse.PublishReplace:
		err = p.planUpsert(ctx)
	default:
		err = errNoMode
	}
	if err == nil && listed {
		err = p.dropRejects(ctx, rejects)
	}
	if err == nil {
		err = p.apply(ctx)
	}
	if err == nil {
		err = p.writeRejects(ctx, rejects)
	}
	if err == nil {
		err = p.writeChildren(ctx)
	}
	if err != nil {
		return err
	}
	return p.save(ctx)
}

func (p *publishing) main() string { return qualified(p.table.Schema, p.table.Table) }

// list adds the rows that a query gives to one of the temporary tables.
func (p *publishing) list(ctx context.Context, into, query string) (int64, error) {
	n, err := p.session.count(ctx, "INSERT IGNORE INTO "+into+" "+query)
	if err != nil {
		return 0, fmt.Errorf("compare what is staged: %w", err)
	}
	return n, nil
}

func (p *publishing) count(ctx context.Context, query string) (n int64, err error) {
	if err := p.session.QueryRowContext(ctx, tagged(query)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}

func (p *publishing) planUpsert(ctx context.Context) error {
	row, key := quote(rowColumn), p.p.Key
	from := " FROM " + p.target() + " s JOIN " + p.main() + " m ON " + sameKeys("m", "s", key) + " AND " + live("m", p.p.History)
	differs := " WHERE NOT (" + sameColumns("m", "s", p.columns) + ")"
	staged, err := p.count(ctx, "SELECT count(*) FROM "+p.target())
	if err != nil {
		return err
	}
	if p.update, err = p.list(ctx, comeTable, "SELECT s."+row+from+differs); err != nil {
		return err
	}
	if _, err := p.list(ctx, goneTable, "SELECT m."+row+from+differs); err != nil {
		return err
	}
	p.result.Updated = p.update
	p.result.Inserted, err = p.list(ctx, comeTable, "SELECT s."+row+" FROM "+p.target()+" s WHERE NOT EXISTS (SELECT 1 FROM "+p.main()+" m WHERE "+sameKeys("m", "s", key)+" AND "+live("m", p.p.History)+")")
	if err != nil {
		return err
	}
	p.result.Unchanged = staged - p.result.Updated - p.result.Inserted
	if !p.p.DeleteMissing && p.p.Mode != warehouse.PublishReplace {
		return nil
	}
	total, err := p.count(ctx, "SELECT count(*) FROM "+p.main()+" m WHERE "+live("m", p.p.History))
	if err != nil {
		return err
	}
	p.result.Deleted, err = p.list(ctx, goneTable, "SELECT m."+row+" FROM "+p.main()+" m WHERE "+live("m", p.p.History)+" AND NOT EXISTS (SELECT 1 FROM "+p.target()+" s WHERE "+sameKeys("m", "s", key)+")")
	if err != nil || p.p.Mode == warehouse.PublishReplace {
		return err
	}
	return p.guard(p.result.Deleted, total)
}

// planAppend: rows from the cursor's value on that the table has are left out, each as often as it is there.
func (p *publishing) planAppend(ctx context.Context) error {
	row := quote(rowColumn)
	staged, err := p.count(ctx, "SELECT count(*) FROM "+p.target())
	if err != nil {
		return err
	}
	since := "TRUE"
	if text, ok := valueLiteral(p.p.From); ok && p.p.From.Kind != vector.Null && p.p.Cursor != "" {
		since = "m." + quote(p.p.Cursor) + " >= " + text
	}
	since += " AND " + live("m", p.p.History)
	query := "SELECT s." + row + " FROM " + p.target() + " s WHERE NOT EXISTS (SELECT 1 FROM " + p.main() + " m WHERE " + sameKeys("m", "s", p.p.Key) + " AND " + since + ")"
	if len(p.p.Key) == 0 {
		query = "SELECT d.r FROM (" + p.numbered("s", p.target(), "TRUE") + ") d LEFT JOIN (SELECT " + rowHash("m", p.columns) + " AS h, count(*) AS n FROM " + p.main() + " m WHERE " + since +
			" GROUP BY 1) e ON e.h = d.h WHERE d.n > coalesce(e.n, 0)"
	}
	p.result.Inserted, err = p.list(ctx, comeTable, query)
	p.result.Unchanged = staged - p.result.Inserted
	return err
}

// numbered gives rows with their hash, and which of the same it is.
func (p *publishing) numbered(alias, table, where string) string {
	hash := rowHash(alias, p.columns)
	return "SELECT " + alias + "." + quote(rowColumn) + " AS r, " + hash + " AS h, ROW_NUMBER() OVER (PARTITION BY " + hash + " ORDER BY " + alias + "." + quote(rowColumn) + ") AS n FROM " +
		table + " " + alias + " WHERE " + where
}

// planWhole compares rows as a whole, each as often as it is there.
func (p *publishing) planWhole(ctx context.Context) error {
	added, removed, err := p.diff(ctx, "TRUE", live("m", p.p.History))
	p.result.Inserted, p.result.Deleted = added, removed
	return err
}

// diff lists the rows of the stage that the table lacks, and those of the table that the stage does.
func (p *publishing) diff(ctx context.Context, staged, stored string) (added, removed int64, err error) {
	s, m := p.numbered("s", p.target(), staged), p.numbered("m", p.main(), stored)
	total, err := p.count(ctx, "SELECT count(*) FROM "+p.target()+" s WHERE "+staged)
	if err != nil {
		return 0, 0, err
	}
	other := func(a, b string) string {
		return "SELECT a.r FROM (" + a + ") a LEFT JOIN (" + b + ") b ON b.h = a.h AND b.n = a.n WHERE b.r IS NULL"
	}
	if added, err = p.list(ctx, comeTable, other(s, m)); err != nil {
		return 0, 0, err
	}
	p.result.Unchanged = total - added
	removed, err = p.list(ctx, goneTable, other(m, s))
	return added, removed, err
}

// planGroups compares the rows of each id that was asked for.
func (p *publishing) planGroups(ctx context.Context) error {
	asked := func(table, alias string) string {
		return "EXISTS (SELECT 1 FROM " + table + " q WHERE q.id = " + alias + ".`id`)"
	}
	added, removed, err := p.diff(ctx, asked(askedTable, "s"), asked(askedAgain, "m")+" AND "+live("m", p.p.History))
	if err != nil {
		return err
	}
	row := quote(rowColumn)
	p.result.Updated, err = p.count(ctx, "SELECT coalesce(sum(least(a.n, b.n)), 0) FROM (SELECT s.`id`, count(*) AS n FROM "+p.target()+" s JOIN "+comeTable+" c ON c.r = s."+row+
		" GROUP BY s.`id`) a JOIN (SELECT m.`id`, count(*) AS n FROM "+p.main()+" m JOIN "+goneTable+" g ON g.r = m."+row+" GROUP BY m.`id`) b ON a.`id` = b.`id`")
	p.result.Inserted, p.result.Deleted = added-p.result.Updated, removed-p.result.Updated
	return err
}

// dropRejects drops the rejects of rows that go, and of all that were staged.
func (p *publishing) dropRejects(ctx context.Context, rejects string) error {
	if p.p.Mode == warehouse.PublishReplace {
		return p.session.exec(ctx, "DELETE FROM "+rejects)
	}
	key := p.key()
	if len(key) == 0 {
		return nil
	}
	row := quote(rowColumn)
	text := func(alias string) string { return keyText(p.columns, key, alias, p.m.db.server.collation) }
	keys := []string{
		"SELECT " + text("m") + " AS k FROM " + p.main() + " m JOIN " + goneTable + " g ON g.r = m." + row,
	}
	if p.p.Mode != warehouse.PublishAppend {
		keys = append(keys, "SELECT "+text("s")+" AS k FROM "+p.target()+" s")
	}
	for _, k := range keys {
		if err := p.session.exec(ctx, "DELETE r FROM "+rejects+" r JOIN ("+k+") k ON r.`key` = k.k"); err != nil {
			return fmt.Errorf("drop old rejects: %w", err)
		}
	}
	return nil
}

// apply lets rows go and come.
func (p *publishing) apply(ctx context.Context) error {
	row, at := quote(rowColumn), timeLiteral(p.p.At.UnixMicro())
	join := p.main() + " m JOIN " + goneTable + " g ON g.r = m." + row
	statement := "DELETE m FROM " + join
	if p.p.History {
		statement = "UPDATE " + join + " SET m." + quote(warehouse.ValidTo) + " = " + at
	}
	if err := p.session.exec(ctx, statement); err != nil {
		return fmt.Errorf("let rows go: %w", err)
	}
	names := columnNames(p.columns)
	list, values := quoteAll(names), prefixed("s", names)
	if p.p.Synced {
		list, values = list+", "+quote(warehouse.SyncedAt), values+", "+at
	}
	if p.p.History {
		list, values = list+", "+quote(warehouse.ValidFrom), values+", "+at
	}
	err := p.session.exec(ctx, "INSERT INTO "+p.main()+" ("+list+") SELECT "+values+" FROM "+p.target()+" s JOIN "+comeTable+" c ON c.r = s."+row+" ORDER BY s."+row)
	if err != nil {
		return fmt.Errorf("let rows come: %w", err)
	}
	return nil
}

// save writes the state, and marks the stage as published.
func (p *publishing) save(ctx context.Context) error {
	columns, err := json.Marshal(p.all)
	if err != nil {
		return err
	}
	var text, ids any
	if p.all != nil {
		text = string(columns)
	}
	if p.record != nil && p.record.ids != nil && p.record.schema == p.table.Schema && p.record.table == p.table.Table {
		b, err := json.Marshal(p.record.ids)
		if err != nil {
			return err
		}
		ids = string(b)
	}
	return p.m.save(ctx, p.session, p.table, text, ids, p.p.State, nil)
}

// save writes what was published, within a transaction.
func (m *Mirrors) save(ctx context.Context, s session, t warehouse.MirrorTable, columns, ids any, state json.RawMessage, wait any) error {
	var text any
	if state != nil {
		text = string(state)
	}
	err := s.exec(ctx, "REPLACE INTO `_firth`.`mirrors` (name, schema_name, table_name, columns, ids, state, pending, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		t.Name, t.Schema, t.Table, columns, ids, text, wait, m.db.now().UTC())
	if err == nil {
		err = s.exec(ctx, "UPDATE `_firth`.`mirror_stages` SET run = NULL WHERE name = ?", t.Name)
	}
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}
