package redshift

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// view is one that stood in the way of a change and is made again after it. Late-binding views (WITH NO SCHEMA BINDING) never do.
type view struct {
	oid, schema, name, query string
	grants                   []string
}

// viewsOf asks for the views that read a table or view directly.
const viewsOf = `SELECT DISTINCT v.oid, n.nspname, v.relname, pg_get_viewdef(v.oid), array_to_string(v.relacl, ',')
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE v.relkind = 'v' AND d.refobjid <> v.oid AND d.refobjid IN (SELECT t.oid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = `

// putAside drops the views that depend on columns of a table, those of views first, and returns them in the order in which they can be
// made again.
func (d *DB) putAside(ctx context.Context, schema, name string, columns ...string) ([]view, error) {
	views, err := d.dependents(ctx, schema, name, map[string]bool{}, columns...)
	if err != nil {
		return nil, fmt.Errorf("look for views of it: %w", err)
	}
	for _, v := range slices.Backward(views) {
		if err := d.run(ctx, "DROP VIEW "+qualified(v.schema, v.name)); err != nil {
			return nil, fmt.Errorf("the view %s.%s depends on a column that must change: %w", v.schema, v.name, err)
		}
	}
	return views, nil
}

// dependents lists views so that each comes after those that it reads; those of the columns, or of the whole relation where none is
// named.
func (d *DB) dependents(ctx context.Context, schema, name string, seen map[string]bool, columns ...string) ([]view, error) {
	of := ""
	if len(columns) > 0 {
		of = " AND (d.refobjsubid = 0 OR d.refobjsubid IN (SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = d.refobjid AND a.attname IN (" + literals(columns) + ")))"
	}
	r, err := d.exec(ctx, viewsOf+literal(schema)+" AND t.relname = "+literal(name)+")"+of+" ORDER BY 2, 3")
	if err != nil {
		return nil, err
	}
	var direct, out []view
	for _, row := range r.rows {
		v := view{oid: row[0].String, schema: row[1].String, name: row[2].String, query: strings.TrimRight(strings.TrimSpace(row[3].String), ";")}
		v.grants = grantsOf(v, row[4].String)
		direct = append(direct, v)
	}
	for _, v := range slices.Backward(direct) {
		if seen[v.oid] {
			continue
		}
		seen[v.oid] = true
		above, err := d.dependents(ctx, v.schema, v.name, seen)
		if err != nil {
			return nil, err
		}
		out = append(append([]view{v}, above...), out...)
	}
	return out, nil
}

// restore makes views again.
func (d *DB) restore(ctx context.Context, views []view) error {
	for _, v := range views {
		if err := d.run(ctx, append([]string{"CREATE VIEW " + qualified(v.schema, v.name) + " AS " + v.query}, v.grants...)...); err != nil {
			return fmt.Errorf("make the view %s.%s again: %w", v.schema, v.name, err)
		}
	}
	return nil
}

// grantsOf are the statements that give others their right to read a view again. acl is a list like ann=r/owner,group bi=r/owner,=r/owner.
func grantsOf(v view, acl string) []string {
	var out []string
	for item := range strings.SplitSeq(acl, ",") {
		who, rights, ok := strings.Cut(item, "=")
		rights, owner, _ := strings.Cut(rights, "/")
		if !ok || !strings.Contains(rights, "r") || who == owner {
			continue
		}
		to := "PUBLIC"
		if group, ok := strings.CutPrefix(who, "group "); ok {
			to = "GROUP " + requote(group)
		} else if who != "" {
			to = requote(who)
		}
		out = append(out, "GRANT SELECT ON "+qualified(v.schema, v.name)+" TO "+to)
	}
	return out
}

// requote quotes a name that the server may have quoted.
func requote(name string) string {
	if len(name) > 1 && name[0] == '"' && name[len(name)-1] == '"' {
		return name
	}
	return quote(name)
}
