package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/views.sql
var viewsSQL string

//go:embed sql/viewparts.sql
var viewPartsSQL string

// view is a view that stands on a column, with all that must be said to make it again.
type view struct {
	oid          int64
	schema, name string
	kind         string // pg_class.relkind: v or m
	owner        string
	owned        bool
	definition   string
	options      []string
	method       string
	populated    bool
	comment      string
	parts        []string // statements: indexes, triggers, grants, comments, defaults
}

// obstacle says why a column keeps its type; the values that do not fit are listed as discarded.
type obstacle struct{ reason string }

func (o *obstacle) Error() string { return o.reason }

// retype gives a column a wider type. Views that stand on it are dropped and made again in the same transaction, with their owners,
// grants, indexes, triggers and comments. Where that cannot be done the column keeps its type, which is noticed and no error.
func (l *loading) retype(ctx context.Context, c *change, g growth, toFloat bool) error {
	var listed int64
	err := l.ddl(ctx, c.have.oid, c.name, func(ctx context.Context) (err error) {
		listed, err = l.retypeIn(ctx, c, g, toFloat)
		return err
	})
	var o *obstacle
	var pg *pgconn.PgError
	switch {
	case err == nil:
	case errors.As(err, &o):
		l.keep(c, g, o.reason)
		return nil
	// Something else stands on the column (0A000, 2BP01), a view does not take the new type (42883 and others of class 42) or may not
	// be made again (42501).
	case errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "2BP01" || strings.HasPrefix(pg.Code, "42") && !changedUnder(err)):
		reason := pg.Message
		if pg.Detail != "" {
			reason += " (" + pg.Detail + ")"
		}
		l.keep(c, g, reason)
		return nil
	default:
		return err
	}
	l.result.Discards += listed
	notice := fmt.Sprintf("%s.%s was widened to %s", c.name, g.column, g.to)
	if toFloat {
		notice = fmt.Sprintf("%s.%s was widened from integer to float", c.name, g.column)
	}
	if listed > 0 {
		notice += fmt.Sprintf("; %d values beyond 2^53 are rounded and listed in %s", listed, warehouse.Discards)
	}
	l.result.Notices = append(l.result.Notices, notice)
	return nil
}

// keep notes that a column keeps its type.
func (l *loading) keep(c *change, g growth, reason string) {
	l.blocked[c.name+"."+g.column] = reason
	l.result.Notices = append(l.result.Notices, fmt.Sprintf("%s.%s could not be widened to %s, and values that do not fit are listed in %s: %s",
		c.name, g.column, g.to, warehouse.Discards, reason))
}

// retypeIn does the work of retype in its transaction and returns how many values were listed as rounded.
func (l *loading) retypeIn(ctx context.Context, c *change, g growth, toFloat bool) (listed int64, err error) {
	d := l.db
	name := qualified(l.schema, c.name)
	// Before anything else: what is read of views and rows now stays so.
	if _, err := d.conn.Exec(ctx, lockTables([]string{name}, "ACCESS EXCLUSIVE")); err != nil {
		return 0, err
	}
	views, err := d.viewsOn(ctx, c.have.oid, []string{g.column})
	if err != nil {
		return 0, err
	}
	if toFloat {
		listed, err = d.count(ctx, listInexact(l.schema, c.name, g.column, c.have.get("id") != nil, c.have.get("received_at") != nil), l.now)
		if err != nil {
			return 0, fmt.Errorf("list rounded values: %w", err)
		}
	}
	if err := d.withoutViews(ctx, views, retype(l.schema, c.name, g.column, g.to)); err != nil {
		return 0, err
	}
	if !toFloat {
		return listed, nil
	}
	_, err = d.conn.Exec(ctx, "UPDATE _firth.columns SET type = $5 WHERE source = $1 AND schema_name = $2 AND table_name = $3 AND column_name = $4",
		l.source, l.schema, c.name, g.column, table.Float.String())
	if err != nil {
		return 0, fmt.Errorf("record the type: %w", err)
	}
	return listed, nil
}

// viewsOn reads the views that stand on columns, those first that others stand on. It is an obstacle where one belongs to a role that
// the login is no member of.
func (d *DB) viewsOn(ctx context.Context, oid int64, columns []string) ([]*view, error) {
	rows, err := d.conn.Query(ctx, viewsSQL, oid, columns)
	if err != nil {
		return nil, fmt.Errorf("read the views: %w", err)
	}
	var out []*view
	var v view
	_, err = pgx.ForEachRow(rows, []any{
		&v.oid, &v.schema, &v.name, &v.kind, &v.owner, &v.owned, &v.definition, &v.options, &v.method, &v.populated, &v.comment,
	}, func() error {
		one := v
		one.options = slices.Clone(v.options)
		out = append(out, &one)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the views: %w", err)
	}
	for _, v := range out {
		if !v.owned || v.kind != "v" && v.kind != "m" {
			return nil, &obstacle{fmt.Sprintf("the view %s stands on it and belongs to %s; as an administrator: GRANT %s TO %s",
				qualified(v.schema, v.name), quote(v.owner), quote(v.owner), quote(d.config.User))}
		}
		if v.parts, err = d.texts(ctx, viewPartsSQL, v.oid); err != nil {
			return nil, fmt.Errorf("read the view %s: %w", v.name, err)
		}
	}
	return out, nil
}

// texts reads one column of texts.
func (d *DB) texts(ctx context.Context, statement string, args ...any) ([]string, error) {
	rows, err := d.conn.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// withoutViews runs statements while the views are away, and makes them again as they were.
func (d *DB) withoutViews(ctx context.Context, views []*view, statements ...string) error {
	var all []string
	for _, v := range slices.Backward(views) {
		all = append(all, dropView(v))
	}
	all = append(all, statements...)
	for _, v := range views {
		all = append(all, createView(v))
		if v.comment != "" {
			all = append(all, viewComment(v))
		}
		all = append(all, v.parts...)
		if v.owner != d.config.User {
			all = append(all, viewOwner(v))
		}
	}
	for _, s := range all {
		if _, err := d.conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
