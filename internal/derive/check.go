package derive

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strings"
)

// Engine computes. A *duckdb.Workshop is one.
type Engine interface {
	Exec(ctx context.Context, statements string, args ...any) error
	Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	One(ctx context.Context, statement string, into ...any) error
}

// Fault is what is wrong with a Spec, and what to do.
type Fault struct{ Text, Hint string }

func (f *Fault) Error() string { return f.Text }

//go:embed sample.sql
var sampleSQL string

// sampleTable has the rows that a statement is tried on.
const sampleTable = "_firth_sample"

// otherTable has them in another order.
const otherTable = "_firth_other"

// sampleRows is how many events of the source a statement is tried on, beside made ones.
const sampleRows = 20_000

// Check finds out what columns the statement gives and whether merging in parts gives what merging at once does. Events, where it is not
// empty, is something to select the source's events from: some of them are tried on; where it is empty, made ones are. The engine gets
// tables of its own and has none of them afterwards. A *Fault says that the statement is of no use.
func Check(ctx context.Context, e Engine, s Spec, events string) (p *Plan, err error) {
	defer func() {
		err = errors.Join(err, e.Exec(context.WithoutCancel(ctx), dropSamples))
	}()
	fill := sampleSQL
	if events != "" {
		fill = fmt.Sprintf("SELECT * FROM (SELECT * FROM %s) USING SAMPLE reservoir(%d ROWS) REPEATABLE (7)", events, sampleRows)
	}
	for _, t := range [][2]string{
		{sampleTable, "SELECT *, CAST(hash(message_id) % 3 AS INTEGER) AS _firth_part FROM (" + fill + ") ORDER BY hash(message_id)"},
		{otherTable, "SELECT * FROM " + sampleTable + " ORDER BY hash(message_id || 'x') DESC"},
	} {
		if err := e.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+t[0]+" AS "+t[1]); err != nil {
			return nil, fmt.Errorf("take events to try on: %w", err)
		}
	}
	p = &Plan{Spec: s}
	if p.Columns, err = s.describe(ctx, e); err != nil {
		return nil, err
	}
	all := func(table string) string { return relation("SELECT * EXCLUDE (_firth_part) FROM " + table) }
	same, err := p.equal(ctx, e, p.Plain(all(sampleTable)), p.Plain(all(otherTable)))
	if err != nil {
		return nil, err
	}
	switch {
	case !same && events == "":
		return nil, &Fault{"merge_sql gives other rows when the same events come in another order",
			"take arg_max_null(column, (ts, _firth_offset)) in place of last(), first(), any_value() or arg_max(column, ts), and break ties in ORDER BY by _firth_offset"}
	case !same:
		p.Mode, p.Why = Whole, "it gives other rows when the same events come in another order: break ties by _firth_offset"
		return p, nil
	}
	return p, p.choose(ctx, e)
}

const dropSamples = "DROP TABLE IF EXISTS " + sampleTable + "; DROP TABLE IF EXISTS " + otherTable + "; DROP TABLE IF EXISTS _firth_first; DROP TABLE IF EXISTS _firth_second"

// describe binds the statement to events and names the columns that it gives.
func (s *Spec) describe(ctx context.Context, e Engine) ([]Column, error) {
	none := relation("SELECT * EXCLUDE (_firth_part) FROM " + sampleTable + " LIMIT 0")
	if s.Seed != "" {
		if _, err := described(ctx, e, s.named(none, s.Seed)); err != nil {
			return nil, &Fault{"seed_sql: " + err.Error(), "it is a SELECT over source_files, whose columns are those of lake." + s.From}
		}
	}
	columns, err := described(ctx, e, s.merged(relation(s.seeded(none))))
	if err != nil {
		return nil, &Fault{"merge_sql: " + err.Error(), "it is a SELECT over source_files, whose columns are those of lake." + s.From + ", or of seed_sql where there is one"}
	}
	seen := map[string]bool{}
	for i, c := range columns {
		low := strings.ToLower(c.Name)
		if seen[low] || strings.HasPrefix(low, "_firth_") && low != logColumn && low != offsetColumn {
			return nil, &Fault{fmt.Sprintf("merge_sql gives two columns with the name %s, or one that Firth uses itself", c.Name), "name it with AS"}
		}
		seen[low] = true
		t, ok := kept(c.Type)
		if !ok {
			return nil, &Fault{fmt.Sprintf("column %s has the type %s, which an Iceberg table of plain columns cannot hold", c.Name, c.Type), "write to_json(" + c.Name + "), or make several columns of it"}
		}
		columns[i].Type = t
	}
	return columns, nil
}

func described(ctx context.Context, e Engine, statement string) (out []Column, err error) {
	rows, err := e.Query(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+statement+")")
	if err != nil {
		return nil, firstLine(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// firstLine leaves out the engine's picture of the statement, which is not as the person wrote it.
func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// choose tries whether merging in parts gives what merging at once does, and whether merging with nothing new changes nothing.
func (p *Plan) choose(ctx context.Context, e Engine) error {
	part := func(cond string) string {
		return relation("SELECT * EXCLUDE (_firth_part) FROM " + sampleTable + " WHERE " + cond)
	}
	again := func(stored, events string) string {
		return typed(p.Columns, p.merged(relation("SELECT * FROM "+stored+" UNION ALL BY NAME "+relation(p.seeded(events)))))
	}
	for _, step := range []struct{ into, statement string }{
		{"_firth_first", p.Plain(part("_firth_part = 0"))},
		{"_firth_second", again("_firth_first", part("_firth_part = 1"))},
	} {
		if err := e.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+step.into+" AS "+step.statement); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.Mode, p.Why = Whole, "its own rows cannot be merged again: "+firstLine(err).Error()
			return nil
		}
	}
	p.Mode = Incremental
	for _, pair := range [][2]string{
		{again("_firth_second", part("_firth_part = 2")), p.Plain(part("true"))},
		{again("_firth_second", part("false")), "SELECT * FROM _firth_second"},
	} {
		same, err := p.equal(ctx, e, pair[0], pair[1])
		if err != nil {
			return err
		}
		if !same {
			p.Mode, p.Why = Whole, "merging its rows with further events gives other rows than merging all events at once"
		}
	}
	return nil
}

// equal says whether two statements give the same rows, each as often. Floats are compared in eight digits: a sum of them depends on the
// order in every engine, as do no other columns.
func (p *Plan) equal(ctx context.Context, e Engine, a, b string) (bool, error) {
	list := make([]string, len(p.Columns))
	for i, c := range p.Columns {
		list[i] = quote(c.Name)
		if c.Type == "DOUBLE" || c.Type == "FLOAT" {
			list[i] = "format('{:.7e}', " + quote(c.Name) + "::DOUBLE + 0)"
		}
	}
	from := "SELECT " + strings.Join(list, ", ") + " FROM "
	var n int64
	diff := "SELECT count(*) FROM ((" + from + relation(a) + " EXCEPT ALL " + from + relation(b) + ") UNION ALL (" + from + relation(b) + " EXCEPT ALL " + from + relation(a) + "))"
	if err := e.One(ctx, diff, &n); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, &Fault{"merge_sql: " + firstLine(err).Error(), "try it with firth query: put lake.SOURCE in the place of source_files"}
	}
	return n == 0, nil
}
