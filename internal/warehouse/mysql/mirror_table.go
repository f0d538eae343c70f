package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// physicals are the columns of a table as they are on the server: their types by lower-case name.
func physicals(ctx context.Context, s session, schema, name string) (map[string]string, error) {
	out := map[string]string{}
	err := s.each(ctx, "SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ?", []any{schema, name}, func(rows *sql.Rows) error {
		var name, kind string
		err := rows.Scan(&name, &kind)
		out[strings.ToLower(name)] = kind
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the columns of %s: %w", name, err)
	}
	return out, nil
}

// extras are the columns that publishing adds.
func extras(p *warehouse.Publication) []vector.Column {
	at := vector.Type{Kind: vector.TimestampTZ}
	var out []vector.Column
	if p.Synced {
		out = append(out, vector.Column{Name: warehouse.SyncedAt, Type: at})
	}
	if p.History {
		out = append(out, vector.Column{Name: warehouse.ValidFrom, Type: at}, vector.Column{Name: warehouse.ValidTo, Type: at})
	}
	return out
}

// ready brings the table to the columns of the stage, and the stage to those types of the table that are wider, before any row is
// written. All of it can be done again. It sets the columns of the table as they will be published.
func (p *publishing) ready(ctx context.Context) error {
	name := qualified(p.table.Schema, p.table.Table)
	there, err := exists(ctx, p.session, p.table.Schema, p.table.Table)
	if err != nil {
		return err
	}
	known := p.record != nil && p.record.columns != nil && p.record.schema == p.table.Schema && p.record.table == p.table.Table
	if known && !there {
		p.result.Notices = append(p.result.Notices, "somebody dropped "+p.table.Schema+"."+p.table.Table+": it was made again")
	}
	if !known && there {
		if err := p.m.mine(ctx, p.session, p.table, p.record); err != nil {
			return err
		}
		if err := p.session.exec(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
			return err
		}
		there = false
	}
	if !there {
		p.all = slices.Clone(p.columns)
		list := append(p.physical(p.columns), p.physical(extras(p.p))...)
		if err := p.session.exec(ctx, createMirror(name, list, p.m.invisible, p.m.db.server.collation)); err != nil {
			return fmt.Errorf("make the table: %w", err)
		}
		return p.index(ctx, p.table.Table)
	}
	p.all = slices.Clone(p.record.columns)
	if err := p.widen(ctx, name); err != nil {
		return err
	}
	return p.index(ctx, p.table.Table)
}

// widen adds missing columns and changes types.
func (p *publishing) widen(ctx context.Context, name string) error {
	have, err := physicals(ctx, p.session, p.table.Schema, p.table.Table)
	if err != nil {
		return err
	}
	var changes, staged []string
	collation := p.m.db.server.collation
	for _, c := range append(slices.Clone(p.columns), extras(p.p)...) {
		kind, exists := have[strings.ToLower(c.Name)]
		at := findColumn(p.all, c.Name)
		extra := findColumn(p.columns, c.Name) < 0
		if at < 0 && !extra {
			p.all = append(p.all, c)
			at = len(p.all) - 1
		}
		if !exists {
			changes = append(changes, "ADD COLUMN "+mirrorColumn(c.Name, p.kind(c), collation))
		}
		if extra {
			continue
		}
		to, err := p.meet(ctx, name, at, c, exists)
		if err != nil {
			return err
		}
		wanted := p.kind(to)
		if isLong(kind) && strings.HasPrefix(wanted, "VARCHAR") {
			wanted = "LONGTEXT" // it had long keys before
		}
		if exists && !sameKind(kind, wanted) {
			changes = append(changes, "MODIFY COLUMN "+mirrorColumn(c.Name, wanted, collation))
		}
		if before := p.kind(c); before != wanted {
			staged = append(staged, "MODIFY COLUMN "+mirrorColumn(c.Name, wanted, collation))
		}
	}
	for _, column := range p.all {
		if _, there := have[strings.ToLower(column.Name)]; !there && findColumn(p.columns, column.Name) < 0 {
			changes = append(changes, "ADD COLUMN "+mirrorColumn(column.Name, p.kind(column), collation))
		}
	}
	for table, list := range map[string][]string{name: changes, p.target(): staged} {
		if len(list) > 0 {
			if err := p.session.exec(ctx, "ALTER TABLE "+table+" "+strings.Join(list, ", ")); err != nil {
				return fmt.Errorf("bring the columns together: %w", err)
			}
		}
	}
	return nil
}

// meet is the type in which a column of the table and one of the stage meet.
func (p *publishing) meet(ctx context.Context, name string, at int, c vector.Column, exists bool) (vector.Column, error) {
	from := p.all[at]
	to := c
	to.Type, _ = vector.Grow(from.Type, c.Type)
	if exists {
		if err := convertColumn(ctx, p.session, name, from, to); err != nil {
			return to, err
		}
	}
	if err := convertColumn(ctx, p.session, p.target(), c, to); err != nil {
		return to, err
	}
	p.all[at].Type = to.Type
	if c.Path != "" {
		p.all[at].Path, p.all[at].Source = c.Path, c.Source
	}
	if i := findColumn(p.columns, c.Name); i >= 0 {
		p.columns[i].Type = to.Type
	}
	return to, nil
}

// sameKind compares a type as the server writes it with one as this package does; the server tells of widths of integers.
func sameKind(have, want string) bool {
	h, w := strings.ToUpper(have), strings.ToUpper(want)
	if strings.Contains(h, "INT(") && !strings.Contains(w, "INT(") {
		from := strings.IndexByte(h, '(')
		h = h[:from] + h[strings.IndexByte(h, ')')+1:]
	}
	if strings.HasPrefix(h, "TINYINT") && strings.HasPrefix(w, "TINYINT") {
		return strings.Contains(h, "UNSIGNED") == strings.Contains(w, "UNSIGNED")
	}
	return h == w
}

// index makes the index on the key where a table lacks one.
func (p *publishing) index(ctx context.Context, table string) error {
	key := p.p.Key
	if p.p.Mode == warehouse.PublishGroups || p.p.Mode == warehouse.PublishIDs {
		key = []string{"id"}
	}
	if len(key) == 0 {
		return nil
	}
	var have []string
	err := p.session.each(ctx, "SELECT column_name FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND index_name = ? ORDER BY seq_in_index",
		[]any{p.table.Schema, table, mirrorKey}, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			have = append(have, name)
			return err
		})
	if err != nil {
		return fmt.Errorf("look for the index: %w", err)
	}
	if slices.EqualFunc(have, key, strings.EqualFold) {
		return nil
	}
	kinds, err := physicals(ctx, p.session, p.table.Schema, table)
	if err != nil {
		return err
	}
	list := make([]physical, len(key))
	for i, k := range key {
		list[i] = physical{k, kinds[strings.ToLower(k)]}
	}
	statement := "ALTER TABLE " + qualified(p.table.Schema, table)
	if have != nil {
		statement += " DROP INDEX " + quote(mirrorKey) + ","
	}
	if err := p.session.exec(ctx, statement+" ADD INDEX "+quote(mirrorKey)+" ("+keyList(list)+")"); err != nil {
		return fmt.Errorf("make the index on the key: %w", err)
	}
	return nil
}

// ownRejects fails where there is a table of the rejects' name that is none.
func (p *publishing) ownRejects(ctx context.Context, there bool) error {
	if !there {
		return nil
	}
	have, err := physicals(ctx, p.session, p.table.Schema, rejectsName(p.table))
	if err != nil {
		return err
	}
	return warehouse.OwnRejects(p.table.Name, rejectsName(p.table), func(column string) bool { return have[column] != "" })
}

// rejectsTable makes the table of rejects where it is missing.
func (p *publishing) rejectsTable(ctx context.Context, name string) error {
	collation := p.m.db.server.collation
	var list []physical
	for _, c := range warehouse.RejectColumns() {
		list = append(list, physical{c.Name, mirrorType(c.Type, c.Name == "key")})
	}
	list[0].kind = "LONGTEXT"
	statement := strings.Replace(createMirror(name, list, p.m.invisible, collation), "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1)
	if err := p.session.exec(ctx, statement); err != nil {
		return fmt.Errorf("make the table of rejects: %w", err)
	}
	return nil
}

// rejectsAtOnce is how many rejects one statement writes.
const rejectsAtOnce = 500

// writeRejects adds rejects to a table.
func (p *publishing) writeRejects(ctx context.Context, name string) error {
	for list := range slices.Chunk(p.p.Rejects, rejectsAtOnce) {
		var b strings.Builder
		b.WriteString("INSERT INTO " + name + " (" + quoteAll(columnNames(warehouse.RejectColumns())) + ") VALUES ")
		for i, r := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			at := r.At
			if at.IsZero() {
				at = p.p.At
			}
			value := r.Value
			if most := p.m.db.server.mostText / rejectsAtOnce; len(value) > most && len(list) > 1 || len(value) > p.m.db.server.mostText {
				value = strings.ToValidUTF8(value[:most], "") + fmt.Sprintf("... (%d bytes)", len(r.Value))
			}
			fmt.Fprintf(&b, "(%s, %s, %s, %s, %s)", literal(r.Key), literal(r.Column), literal(strings.ToValidUTF8(value, "\uFFFD")), literal(r.Reason), timeLiteral(at.UnixMicro()))
		}
		if err := p.session.exec(ctx, b.String()); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
		p.result.Rejects += int64(len(list))
	}
	return nil
}

// noKey refuses keys that are no columns, or NULL somewhere.
func (p *publishing) noKey(ctx context.Context, key []string) error {
	parts := make([]string, len(key))
	for i, k := range key {
		if findColumn(p.columns, k) < 0 {
			return &warehouse.Error{Op: "publish", Object: p.table.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the key %s is no column of what was read", k),
				Hint: "mend key: of the mirror, or let the source have the column again"}
		}
		parts[i] = "s." + quote(k) + " IS NULL"
	}
	var n int64
	if err := p.session.QueryRowContext(ctx, tagged("SELECT count(*) FROM "+p.target()+" s WHERE "+strings.Join(parts, " OR "))).Scan(&n); err != nil {
		return fmt.Errorf("look at the keys: %w", err)
	}
	if n == 0 {
		return nil
	}
	return &warehouse.Error{Op: "publish", Object: p.table.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("%d rows have no %s", n, strings.Join(key, ", ")),
		Hint: "choose another key: for the mirror, or leave such rows out: where: " + strings.Join(key, " is not null and ") + " is not null"}
}

// guard refuses to delete more rows than was allowed.
func (p *publishing) guard(deleted, total int64) error {
	if p.p.Allows(deleted, total) {
		return nil
	}
	return &warehouse.Error{Op: "publish", Object: p.table.Name, Kind: warehouse.TooManyDeletes,
		Err:  fmt.Errorf("%d of %d rows would be deleted, more than the %.4g %% of max_delete", deleted, total, 100*p.p.Deletes),
		Hint: "see that the source is complete; if they are to go, run it once with max_delete: 100%"}
}

var errNoMode = errors.New("no such mode of publishing")
