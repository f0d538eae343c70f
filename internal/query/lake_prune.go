package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Which files a statement needs is asked of the engine: it plans the statement over tables of three rows in the lake's place, and
// says which conditions it would push down into the scan of each. These hold for every row that can matter. What cannot be read
// of them with certainty bounds nothing.
//
// The rows are the least and the greatest values and NULL, so that the engine concludes nothing from them; and where a table is
// missing in the plan although it is in the statement, all its files are taken. Of a table of which no column is asked for no file is
// taken either: the catalog knows how many rows it has.

// prune leaves out the files that the statement cannot need.
func (r *lakeRun) prune(ctx context.Context, statement string) error {
	for _, ref := range r.refs {
		kind, probe := "CREATE TEMP TABLE ", r.e.lakes.Probe(ref.table)
		if ref.made != nil {
			kind, probe = "CREATE TEMP VIEW ", ref.made.Probe
		}
		if ref.call == callFiles {
			kind, probe = "CREATE TEMP VIEW ", filesSelect(ref.files) // which is all that it will be
		}
		if _, err := r.conn.ExecContext(ctx, kind+quoted(ref.relate)+" AS "+probe); err != nil {
			return fmt.Errorf("probe the lake: %w", err)
		}
	}
	root, err := r.explain(ctx, statement)
	if err != nil {
		return err
	}
	scans := map[string][]condition{}
	root.scans(scans)
	looks := map[string]bool{}
	root.looks(looks)
	nothing := root.nothing()
	for _, ref := range r.refs {
		conditions, ok := scans[scanName(ref.relate)]
		switch {
		case ref.call == callFiles, ref.made != nil:
		case nothing:
			ref.files = nil
		case ok && ref.call == "" && !looks[scanName(ref.relate)]:
			ref.counted = true
		case ok:
			ref.files = slices.DeleteFunc(slices.Clone(ref.files), func(f LakeFile) bool {
				return !slices.ContainsFunc(conditions, func(c condition) bool { return c.may(&f) })
			})
		}
		kind := "DROP TABLE temp."
		if ref.call == callFiles || ref.made != nil {
			kind = "DROP VIEW temp."
		}
		if _, err := r.conn.ExecContext(ctx, kind+quoted(ref.relate)); err != nil {
			return fmt.Errorf("probe the lake: %w", err)
		}
	}
	return nil
}

// scanName is how a plan calls a temporary table whose name needs quotes.
func scanName(table string) string { return `"temp".main.` + quoted(table) }

// explain is the engine's plan of the statement.
func (r *lakeRun) explain(ctx context.Context, statement string) (*plan, error) {
	own := statement
	switch lower(firstWord(statement)) {
	case "summarize", "describe", "desc", "show":
		statement = "FROM (" + statement + "\n)"
	}
	rows, err := r.e.db.Stream(ctx, r.conn, "EXPLAIN (FORMAT json) "+statement, r.params)
	if err != nil {
		// What is wrong is told with the statement's own text around it.
		told, again := r.e.db.Stream(ctx, r.conn, own, r.params)
		if again != nil {
			return nil, again
		}
		return nil, errors.Join(err, told.Close())
	}
	var out plan
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return &out, rows.Close()
		}
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if len(row) < 2 {
			continue
		}
		printed, _ := row[1].(string)
		var nodes []*plan
		if json.Unmarshal([]byte(printed), &nodes) == nil {
			out.Children = append(out.Children, nodes...)
		}
	}
}

// scans collects the conditions of every scan of a table, by its name.
func (p *plan) scans(out map[string][]condition) {
	if p.Name == "HASH_JOIN" && p.texts("Join Type") == "SEMI" && p.texts("Conditions") == "rowid = rowid" && len(p.Children) == 2 {
		// The engine found the rows by a few columns and fetches their others: the conditions are those of the finding.
		p.Children[1].scans(out)
		return
	}
	for _, child := range p.Children {
		if p.Name == "FILTER" && strings.TrimSpace(child.Name) == "SEQ_SCAN" {
			child.scan(out, p.texts("Expression"))
			continue
		}
		child.scans(out)
	}
	if strings.TrimSpace(p.Name) == "SEQ_SCAN" {
		p.scan(out, "")
	}
}

func (p *plan) scan(out map[string][]condition, above string) {
	name := p.texts("Table")
	out[name] = append(out[name], allOf{conditionOf(p.texts("Filters")), conditionOf(above)})
}

// looks says of each table that is scanned whether anything is asked of its rows but how many there are.
func (p *plan) looks(out map[string]bool) {
	for _, child := range p.Children {
		child.looks(out)
	}
	if strings.TrimSpace(p.Name) == "SEQ_SCAN" {
		name := p.texts("Table")
		out[name] = out[name] || p.texts("Projections") != "" || p.texts("Filters") != ""
	}
}

// nothing reports whether the engine has seen that there are no rows to read, whatever is in the tables.
func (p *plan) nothing() bool {
	if len(p.Children) == 0 {
		return p.Name == "EMPTY_RESULT"
	}
	return !slices.ContainsFunc(p.Children, func(c *plan) bool { return !c.nothing() })
}
