package redshift

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// maxColumns is how many columns a table may have.
const maxColumns = 1600

// target is a table of a batch beside the table that it goes to, and what has to change there first.
type target struct {
	batch  *table.Batch
	name   string // as the server has it, or will
	upsert bool
	rel    *relation // nil: it is made
	known  *known    // nil: the bookkeeping does not know it
	adopt  bool      // somebody else made it, and this is the first load into it
	again  bool      // it was dropped and is made again

	add   []table.Column  // columns to be added
	gone  []string        // those of them that had been there
	widen []table.Column  // integers that become floats
	grow  map[string]bool // strings that need room, found while rows are written

	fields []field // what parts and staging table hold, in order
	stamps []column
	unfit  []int // batch columns of which nothing can be stored

	stage    []stageColumn
	manifest string // URL of what was staged; empty where there are no rows
}

// field is a column that a batch has values for.
type field struct {
	from int // place among the batch's columns
	col  column
}

// newTarget compares a table of a batch with the one that exists; an error leaves everything as it is. all keeps columns without a
// value, too.
func (st *state) newTarget(b *table.Batch, upsert, all bool) (*target, error) {
	key := strings.ToLower(b.Name)
	t := &target{batch: b, name: b.Name, upsert: upsert, rel: st.relations[key], known: st.known[key], grow: map[string]bool{}}
	if t.rel != nil {
		t.name = t.rel.name
		if t.rel.kind != "r" {
			return nil, &warehouse.Error{
				Op: "load", Object: st.schema + "." + t.name, Kind: warehouse.Unexpected, Err: errors.New("this is no table but a view, or something else that takes no rows"),
				Hint: fmt.Sprintf("rename it: ALTER TABLE %s RENAME TO %s; the table is made then", qualified(st.schema, t.name), quote(t.name+"_view")),
			}
		}
	}
	t.adopt, t.again = t.rel != nil && t.known == nil, t.rel == nil && t.known != nil
	used := make([]bool, len(b.Columns))
	for i := range b.Rows {
		for _, c := range b.Rows[i].Cells {
			used[c.Col] = true
		}
	}
	for i, c := range b.Columns {
		if c.Type == table.Null {
			continue
		}
		have, err := t.resolve(c)
		if err != nil {
			return nil, err
		}
		switch {
		case isStamp(c) && have.kind == table.Timestamp:
			t.stamps = append(t.stamps, have)
		case have.foreign && used[i]:
			t.unfit = append(t.unfit, i)
		case !have.foreign && (used[i] || i == 0 || all):
			t.fields = append(t.fields, field{i, have})
		}
	}
	if n := len(t.add); t.rel != nil && n > 0 && n+len(t.rel.columns) > maxColumns || n > maxColumns {
		return nil, &warehouse.Error{
			Op: "load", Object: st.schema + "." + t.name, Kind: warehouse.TooMany, Err: fmt.Errorf("the table would have more than %d columns", maxColumns),
			Hint: "leave columns out of this warehouse (columns: {exclude: [...]}), or drop those that nobody needs",
		}
	}
	return t, nil
}

// isStamp tells the columns that take the time of the load.
func isStamp(c table.Column) bool {
	return c.Path == "" && c.Type == table.Timestamp && (c.Name == warehouse.UUIDTS || c.Name == warehouse.LoadedAt)
}

// resolve finds the column that a batch's column goes to, as it will be after the changes.
func (t *target) resolve(c table.Column) (column, error) {
	var have *column
	if t.rel != nil {
		have = t.rel.find(c.Name)
	}
	if have == nil {
		t.add = append(t.add, c)
		if t.known != nil && !t.again {
			for _, k := range t.known.columns {
				if strings.EqualFold(k.Name, c.Name) {
					t.gone = append(t.gone, c.Name)
				}
			}
		}
		return made(c), nil
	}
	switch {
	case have.kind == c.Type, have.foreign:
		return *have, nil
	case have.kind == table.Integer && c.Type == table.Float:
		c.Name = have.name
		t.widen = append(t.widen, c)
		return made(c), nil
	case t.adopt:
		return *have, nil // each value is cast, or listed
	}
	return column{}, fmt.Errorf("table %s: column %s is %s in the warehouse and %s in the batch", t.name, c.Name, have.kind, c.Type)
}

// made is a column as addColumn makes it.
func made(c table.Column) column {
	out := column{name: c.Name, kind: c.Type}
	switch c.Type {
	case table.Boolean:
		out.physical = "bool"
	case table.Integer:
		out.physical = "int8"
	case table.Float:
		out.physical = "float8"
	case table.Timestamp:
		out.physical = "timestamp"
	case table.String:
		out.physical, out.length = "varchar", longest
	}
	return out
}

// text is a value as parts hold it. A reason says that the column cannot hold it; an error, that the batch is wrong.
func (t *target) text(f *field, v table.Value) (text, reason string, err error) {
	cast, ok := v.Cast(f.col.kind)
	if !ok {
		number := func(k table.Type) bool { return k == table.Integer || k == table.Float }
		switch {
		case v.Type == table.Float && math.IsInf(v.Float64(), 0):
			return "", warehouse.ReasonRange, nil
		case t.adopt, number(v.Type) && number(f.col.kind):
			return "", warehouse.ReasonNoFit, nil
		}
		return "", "", fmt.Errorf("a %s, and the column is %s", v.Type, f.col.kind)
	}
	switch f.col.kind {
	case table.Boolean:
		return strconv.FormatBool(cast.Bits != 0), "", nil
	case table.Integer:
		return integerText(f.col, cast.Int64())
	case table.Float:
		return floatText(f.col, cast.Float64())
	case table.Timestamp:
		us := cast.Int64()
		if us < firstTime || us > lastTime {
			return "", warehouse.ReasonRange, nil
		}
		return timeText(us), "", nil
	}
	return t.stringText(f, cast.Text)
}

func integerText(c column, n int64) (text, reason string, err error) {
	if c.physical == "int2" && int64(int16(n)) != n || c.physical == "int4" && int64(int32(n)) != n {
		return "", warehouse.ReasonRange, nil
	}
	return strconv.FormatInt(n, 10), "", nil
}

// smallest is the least magnitude that Redshift is said to read; what is below may end a COPY instead of a value.
const smallest = 2.2250738585072014e-308

func floatText(c column, f float64) (text, reason string, err error) {
	if math.IsNaN(f) || math.IsInf(f, 0) || f != 0 && math.Abs(f) < smallest {
		return "", warehouse.ReasonRange, nil
	}
	switch c.physical {
	case "float4":
		if float64(float32(f)) != f {
			return "", warehouse.ReasonNoFit, nil
		}
	case "numeric":
		text = strconv.FormatFloat(f, 'f', -1, 64)
		whole, fraction, _ := strings.Cut(strings.TrimLeft(text, "-0"), ".")
		if c.precision > 0 && (len(whole) > c.precision-c.scale || len(fraction) > c.scale) || len(text) > 64 {
			return "", warehouse.ReasonNoFit, nil
		}
		return text, "", nil
	}
	return strconv.FormatFloat(f, 'g', -1, 64), "", nil
}

func (t *target) stringText(f *field, s string) (text, reason string, err error) {
	switch {
	case !utf8.ValidString(s):
		return "", warehouse.ReasonNotUTF8, nil
	case strings.ContainsRune(s, 0):
		return "", warehouse.ReasonNUL, nil
	case f.col.physical == "bpchar" && (strings.HasSuffix(s, " ") || utf8.RuneCountInString(s) != len(s)):
		return "", warehouse.ReasonNoFit, nil // blanks at the end are lost, and it holds ASCII alone
	case len(s) <= f.col.length:
		return s, "", nil
	case len(s) > longest || f.col.physical != "varchar":
		return "", warehouse.ReasonTooLong, nil
	}
	t.grow[f.col.name] = true
	return s, "", nil
}

// assignments are the columns that the staged rows fill: the fields in order, then those that take the time of the load.
func (t *target) assignments(now string) []assignment {
	var out []assignment
	for i, f := range t.fields {
		out = append(out, assignment{f.col.name, castOf(f.col, "s."+stageColName(i), t.stage[i]), f.col.keepsBlanks()})
	}
	for _, c := range t.stamps {
		expr := now
		if c.physical == "timestamptz" {
			expr += " AT TIME ZONE 'UTC'"
		}
		out = append(out, assignment{column: c.name, expr: expr})
	}
	return out
}

// keepsBlanks reports whether blanks at the end of a text are part of it.
func (c column) keepsBlanks() bool {
	return c.kind == table.String && !c.foreign && c.physical != "bpchar"
}

// castOf makes a target's value of a staged one.
func castOf(c column, expr string, staged stageColumn) string {
	switch {
	case c.kind == table.Timestamp:
		expr = "CAST(" + expr + " AS timestamp)"
		if c.physical == "timestamptz" {
			expr += " AT TIME ZONE 'UTC'"
		}
		return expr
	case staged.digits && c.precision > 0:
		return fmt.Sprintf("CAST(%s AS numeric(%d, %d))", expr, c.precision, c.scale)
	case staged.digits:
		return "CAST(" + expr + " AS numeric)"
	case c.physical == "int2":
		return "CAST(" + expr + " AS smallint)"
	case c.physical == "int4":
		return "CAST(" + expr + " AS integer)"
	case c.physical == "float4":
		return "CAST(" + expr + " AS real)"
	}
	return expr
}
