package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// pending is a change of names that is written down before it happens.
type pending struct {
	Stage   string          `json:"stage,omitempty"` // gone when the names have changed
	Columns json.RawMessage `json:"columns,omitempty"`
	State   json.RawMessage `json:"state,omitempty"`
	Schema  string          `json:"schema"`
	Table   string          `json:"table"`
	Undo    []string        `json:"undo,omitempty"` // tables to be dropped where the names have not changed
	Drop    []string        `json:"drop,omitempty"` // and those where they have
	// Children change their names in the same statement.
	Children []pendingChild `json:"children,omitempty"`
}

// settled ends or forgets what was cut off, and returns what there is then. Where somebody is at it and does not end within the time,
// it returns what there was before.
func (m *Mirrors) settled(ctx context.Context, s session, t warehouse.MirrorTable, seconds int) (*record, error) {
	r, err := m.read(ctx, s, t.Name)
	if err != nil {
		return nil, err
	}
	if r == nil || r.pending == nil {
		if seconds == 0 {
			return r, nil
		}
	}
	got, err := locked(ctx, s, t.Name, time.Duration(seconds)*time.Second)
	if err != nil || !got {
		return r, err
	}
	if r, err = m.settle(ctx, s, t); err != nil {
		return nil, err
	}
	return r, unlock(ctx, s, t.Name)
}

// settle does so for who holds the lock.
func (m *Mirrors) settle(ctx context.Context, s session, t warehouse.MirrorTable) (*record, error) {
	r, err := m.read(ctx, s, t.Name)
	if err != nil || r == nil || r.pending == nil {
		return r, err
	}
	w := r.pending
	if w.Stage != "" {
		there, err := exists(ctx, s, w.Schema, w.Stage)
		if err != nil {
			return nil, err
		}
		if there {
			// The names have not changed.
			if err := dropAll(ctx, s, w.Schema, w.Undo); err != nil {
				return nil, err
			}
			if err := s.exec(ctx, "UPDATE `_firth`.`mirrors` SET pending = NULL WHERE name = ?", t.Name); err != nil {
				return nil, err
			}
			return m.read(ctx, s, t.Name)
		}
		if err := m.renamed(ctx, s, t.Name, r); err != nil {
			return nil, err
		}
	}
	if err := dropAll(ctx, s, w.Schema, w.Drop); err != nil {
		return nil, err
	}
	if err := s.exec(ctx, "UPDATE `_firth`.`mirrors` SET pending = NULL WHERE name = ?", t.Name); err != nil {
		return nil, err
	}
	return m.read(ctx, s, t.Name)
}

// renamed writes down that the names have changed.
func (m *Mirrors) renamed(ctx context.Context, s session, name string, r *record) error {
	w := r.pending
	rest, err := json.Marshal(pending{Schema: w.Schema, Table: w.Table, Drop: w.Drop})
	if err != nil {
		return err
	}
	var ids any
	if r.ids != nil && r.schema == w.Schema && r.table == w.Table {
		b, err := json.Marshal(r.ids)
		if err != nil {
			return err
		}
		ids = string(b)
	}
	return s.inTx(ctx, func() error {
		t := warehouse.MirrorTable{Name: name, Schema: w.Schema, Table: w.Table}
		if err := m.save(ctx, s, t, string(w.Columns), ids, w.State, string(rest)); err != nil {
			return err
		}
		for _, c := range w.Children {
			t := warehouse.MirrorTable{Name: c.Name, Schema: w.Schema, Table: c.Table}
			if err := m.save(ctx, s, t, string(c.Columns), nil, nil, nil); err != nil {
				return err
			}
			if err := s.exec(ctx, "DELETE FROM `_firth`.`mirror_stages` WHERE name = ?", c.Name); err != nil {
				return err
			}
		}
		return s.exec(ctx, "DELETE FROM `_firth`.`mirror_stages` WHERE name = ?", name)
	})
}

func dropAll(ctx context.Context, s session, schema string, names []string) error {
	for _, name := range names {
		if err := s.exec(ctx, "DROP TABLE IF EXISTS "+qualified(schema, name)); err != nil {
			return fmt.Errorf("drop what is no longer needed: %w", err)
		}
	}
	return nil
}

// replace lets the stage take the table's place, and those of arrays theirs.
func (p *publishing) replace(ctx context.Context) error {
	w, renames, err := p.successor(ctx)
	if err != nil {
		return err
	}
	for _, kid := range p.kids {
		own, more, err := kid.successor(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", kid.table.Table, err)
		}
		renames = append(renames, more...)
		w.Undo, w.Drop = append(w.Undo, own.Undo...), append(w.Drop, own.Drop...)
		w.Children = append(w.Children, pendingChild{Name: kid.table.Name, Table: kid.table.Table, Columns: own.Columns})
		p.result.Rejects += kid.result.Rejects
	}
	if err := dropAll(ctx, p.session, w.Schema, w.Drop); err != nil {
		return err
	}
	return p.swap(ctx, w, renames)
}

// successor makes the stage ready to take the table's place, and says which names change then.
func (p *publishing) successor(ctx context.Context) (w *pending, renames []string, err error) {
	there, err := exists(ctx, p.session, p.table.Schema, p.table.Table)
	if err != nil {
		return nil, nil, err
	}
	known := p.record != nil && p.record.columns != nil && p.record.schema == p.table.Schema && p.record.table == p.table.Table
	if !known {
		if err := p.m.mine(ctx, p.session, p.table, p.record); err != nil {
			return nil, nil, err
		}
	}
	if known && !there {
		p.result.Notices = append(p.result.Notices, "somebody dropped "+p.table.Schema+"."+p.table.Table+": it was made again")
	}
	if p.result.Inserted, err = p.count(ctx, "SELECT count(*) FROM "+p.target()); err != nil {
		return nil, nil, err
	}
	if there {
		if p.result.Deleted, err = p.count(ctx, "SELECT count(*) FROM "+p.main()); err != nil {
			return nil, nil, err
		}
		if err := p.carry(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := p.index(ctx, p.name); err != nil {
		return nil, nil, err
	}
	w = &pending{Stage: p.name, Schema: p.table.Schema, Table: p.table.Table, State: p.p.State}
	if w.Columns, err = json.Marshal(p.columns); err != nil {
		return nil, nil, err
	}
	move := func(from, to string) {
		renames = append(renames, qualified(w.Schema, from)+" TO "+qualified(w.Schema, to))
	}
	if there {
		old := short("_firth_old_", p.table.Table, "")
		w.Drop = append(w.Drop, old)
		move(p.table.Table, old)
	}
	move(p.name, p.table.Table)
	if err := p.replaceRejects(ctx, w, move); err != nil {
		return nil, nil, err
	}
	return w, renames, nil
}

// replaceRejects makes the new table of rejects, which changes places with the old one.
func (p *publishing) replaceRejects(ctx context.Context, w *pending, move func(from, to string)) error {
	listed, err := exists(ctx, p.session, w.Schema, rejectsName(p.table))
	if err != nil || !listed && len(p.p.Rejects) == 0 {
		return err
	}
	if err := p.ownRejects(ctx, listed); err != nil {
		return err
	}
	fresh, old := short("_firth_new_", p.table.Table, warehouse.RejectsSuffix), short("_firth_old_", p.table.Table, warehouse.RejectsSuffix)
	w.Undo = append(w.Undo, fresh)
	if err := dropAll(ctx, p.session, w.Schema, []string{fresh}); err != nil {
		return err
	}
	if err := p.rejectsTable(ctx, qualified(w.Schema, fresh)); err != nil {
		return err
	}
	if err := p.writeRejects(ctx, qualified(w.Schema, fresh)); err != nil {
		return err
	}
	if listed {
		w.Drop = append(w.Drop, old)
		move(rejectsName(p.table), old)
	}
	move(fresh, rejectsName(p.table))
	return nil
}

// swap writes down what is to happen, lets it happen, and writes down that it has.
func (p *publishing) swap(ctx context.Context, w *pending, renames []string) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	err = p.session.exec(ctx, "INSERT INTO `_firth`.`mirrors` (name, schema_name, table_name, pending, updated_at) VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE pending = VALUES(pending)",
		p.table.Name, w.Schema, w.Table, string(text), p.m.db.now().UTC())
	if err != nil {
		return fmt.Errorf("write down the change of names: %w", err)
	}
	if err := p.m.db.step("mirror recorded"); err != nil {
		return err
	}
	if err := p.session.exec(ctx, "RENAME TABLE "+strings.Join(renames, ", ")); err != nil {
		return fmt.Errorf("change the tables' places: %w", err)
	}
	if err := p.m.db.step("mirror renamed"); err != nil {
		return err
	}
	_, err = p.m.settle(ctx, p.session, p.table)
	return err
}

// carry gives the stage what people made on the table: indexes and comments. Views and grants go by the name.
func (p *publishing) carry(ctx context.Context) error {
	var ignored, text string
	if err := p.session.QueryRowContext(ctx, tagged("SHOW CREATE TABLE "+p.main())).Scan(&ignored, &text); err != nil {
		return fmt.Errorf("read the definition of the table: %w", err)
	}
	before := parseDefinition(text)
	var changes []string
	for _, k := range before.keys {
		if k.name != mirrorKey && k.name != "PRIMARY" {
			changes = append(changes, "ADD "+k.text)
		}
	}
	err := p.session.each(ctx, "SELECT column_name, column_comment FROM information_schema.columns WHERE table_schema = ? AND table_name = ? AND column_comment <> ''",
		[]any{p.table.Schema, p.table.Table}, func(rows *sql.Rows) error {
			var name, comment string
			err := rows.Scan(&name, &comment)
			if i := findColumn(p.columns, name); i >= 0 {
				changes = append(changes, "MODIFY COLUMN "+mirrorColumn(p.columns[i].Name, p.kind(p.columns[i]), p.m.db.server.collation)+" COMMENT "+literal(comment))
			}
			return err
		})
	if err != nil {
		return fmt.Errorf("read comments: %w", err)
	}
	var comment string
	if err := p.session.QueryRowContext(ctx, tagged("SELECT table_comment FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"), p.table.Schema, p.table.Table).Scan(&comment); err != nil {
		return fmt.Errorf("read comments: %w", err)
	}
	if comment != "" {
		changes = append(changes, "COMMENT = "+literal(comment))
	}
	for _, change := range changes {
		err := p.session.exec(ctx, "ALTER TABLE "+p.target()+" "+change)
		if number(err) == errKeyExists {
			continue // a try before this one made it
		}
		if err != nil && number(err) != 0 {
			p.result.Notices = append(p.result.Notices, fmt.Sprintf("%s was made anew without %s (%v)", p.table.Table, change, err))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// publishIDs makes the stage the complete list, and lets rows go whose id is not in it.
func (p *publishing) publishIDs(ctx context.Context) error {
	at := findColumn(p.columns, "id")
	ids := idsTable(p.table)
	name := short(warehouse.IDsPrefix, p.table.Table, "")
	there, err := exists(ctx, p.session, p.table.Schema, name)
	if err != nil {
		return err
	}
	known := p.record != nil && p.record.schema == p.table.Schema && p.record.table == p.table.Table
	if there && (!known || p.record.ids == nil) {
		if err := p.session.exec(ctx, "DROP TABLE IF EXISTS "+ids); err != nil {
			return err
		}
		there = false
	}
	id := p.columns[at]
	if there {
		id.Type, _ = vector.Join(p.record.ids.Type, id.Type)
		kinds, err := physicals(ctx, p.session, p.table.Schema, name)
		if err != nil {
			return err
		}
		if wanted := p.keyKind(id); !sameKind(kinds["id"], wanted) && !isLong(kinds["id"]) {
			if err := p.session.exec(ctx, "ALTER TABLE "+ids+" DROP INDEX "+quote(mirrorKey)+", MODIFY COLUMN "+mirrorColumn("id", wanted, p.m.db.server.collation)); err != nil {
				return fmt.Errorf("make the list's ids wider: %w", err)
			}
		}
	} else if err := p.session.exec(ctx, createMirror(ids, []physical{{"id", p.keyKind(id)}}, p.m.invisible, p.m.db.server.collation)); err != nil {
		return fmt.Errorf("make the table of ids: %w", err)
	}
	for _, table := range []string{name, p.name} {
		if err := p.index(ctx, table); err != nil {
			return err
		}
	}
	if err := p.temporary(ctx); err != nil {
		return err
	}
	p.record = &record{schema: p.table.Schema, table: p.table.Table, ids: &id, columns: p.columnsOf(known)}
	p.all = p.record.columns
	if err := p.session.inTx(ctx, func() error { return p.writeIDs(ctx, ids) }); err != nil {
		return err
	}
	return p.drop(ctx, p.session)
}

// keyKind is the type of a list's ids.
func (p *publishing) keyKind(id vector.Column) string {
	return mirrorType(id.Type, id.Type.Kind == vector.Text && !p.long["id"])
}

func (p *publishing) columnsOf(known bool) []vector.Column {
	if !known {
		return nil
	}
	return p.record.columns
}

func (p *publishing) writeIDs(ctx context.Context, ids string) error {
	main, err := exists(ctx, p.session, p.table.Schema, p.table.Table)
	if err != nil {
		return err
	}
	if main && p.all != nil {
		total, err := p.count(ctx, "SELECT count(*) FROM "+p.main()+" m WHERE "+live("m", p.p.History))
		if err != nil {
			return err
		}
		p.result.Deleted, err = p.list(ctx, goneTable, "SELECT m."+quote(rowColumn)+" FROM "+p.main()+" m WHERE "+live("m", p.p.History)+
			" AND NOT EXISTS (SELECT 1 FROM "+p.target()+" s WHERE s.`id` = m.`id`)")
		if err != nil {
			return err
		}
		if err := p.guard(p.result.Deleted, total); err != nil {
			return err
		}
		if err := p.letGo(ctx); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"DELETE t FROM " + ids + " t WHERE NOT EXISTS (SELECT 1 FROM " + p.target() + " s WHERE s.`id` = t.`id`)",
		"INSERT INTO " + ids + " (`id`) SELECT DISTINCT s.`id` FROM " + p.target() + " s WHERE NOT EXISTS (SELECT 1 FROM " + ids + " t WHERE s.`id` = t.`id`)",
	} {
		if err := p.session.exec(ctx, statement); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
	}
	return p.save(ctx)
}

// letGo lets rows go with their rejects.
func (p *publishing) letGo(ctx context.Context) error {
	listed, err := exists(ctx, p.session, p.table.Schema, rejectsName(p.table))
	if err != nil {
		return err
	}
	join := p.main() + " m JOIN " + goneTable + " g ON g.r = m." + quote(rowColumn)
	if listed {
		text := keyText(p.all, []string{"id"}, "m", p.m.db.server.collation)
		if err := p.session.exec(ctx, "DELETE r FROM "+qualified(p.table.Schema, rejectsName(p.table))+" r JOIN (SELECT "+text+" AS k FROM "+join+") k ON r.`key` = k.k"); err != nil {
			return fmt.Errorf("drop old rejects: %w", err)
		}
	}
	statement := "DELETE m FROM " + join
	if p.p.History {
		statement = "UPDATE " + join + " SET m." + quote(warehouse.ValidTo) + " = " + timeLiteral(p.p.At.UnixMicro())
	}
	return p.session.exec(ctx, statement)
}
