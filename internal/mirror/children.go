package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Arrays that become tables of their own are staged beside the rows that they are in, each in a stage of a mirror of its own, and
// published with them. What is staged of them is not gone on with: a run that finds some begins anew.

// childParent is the column of such a table that holds the key of the row, as package infer calls it.
const childParent = "_parent"

// maxChildName is how many bytes the name of such a table has at most.
const maxChildName = 63

// childRows are rows of the table of an array.
type childRows struct {
	path  string
	chunk *vector.Chunk
}

// children are the tables of arrays of one attempt. One goroutine uses them, that which stages.
type children struct {
	c    *copying
	list []*child
}

type child struct {
	path    string
	table   warehouse.MirrorTable
	stage   Stage
	columns []vector.Column // of the stage
	rows    int64
	rejects []warehouse.MirrorReject
	more    int64 // rejects that are not listed
	listed  int
}

// asTables reports whether arrays become tables.
func (c *Config) asTables() bool {
	return len(c.Tables) > 0 || slices.ContainsFunc(c.Columns, func(r ColumnRule) bool { return r.Arrays == "table" })
}

// mayHaveChildren fails where arrays are to become tables and cannot.
func (c *Config) mayHaveChildren(keys []string) error {
	refuse := func(why, advice string) error {
		return &source.Error{Op: "read", Name: c.Name, Err: errors.New("arrays as tables of their own " + why), Advice: advice}
	}
	switch {
	case c.History:
		return refuse("have no history", "leave out history, or arrays: their rows are JSON then")
	case len(keys) == 0:
		return refuse("need a key that tells whose rows they are, and the documents have none that is known", "name it with key:")
	case len(keys) > 1:
		return refuse("need a key of one field, and there are "+strings.Join(keys, ", "), "name one with key:, or let the arrays be JSON")
	}
	return nil
}

// childTables are the names of the tables of arrays, in the order of the plan. They never change: a plan only grows at its end.
func childTables(main warehouse.MirrorTable, kids []*infer.Child) []warehouse.MirrorTable {
	taken := map[string]bool{strings.ToLower(main.Table + warehouse.RejectsSuffix): true}
	out := make([]warehouse.MirrorTable, len(kids))
	for i, k := range kids {
		base := main.Table + "__" + k.Name
		name := fitChild(base)
		for n := 2; taken[strings.ToLower(name)]; n++ {
			name = fitChild(fmt.Sprintf("%s_%d", base, n))
		}
		taken[strings.ToLower(name)] = true
		out[i] = warehouse.MirrorTable{Name: main.Name + "/" + k.Path, Schema: main.Schema, Table: name}
	}
	return out
}

func fitChild(name string) string {
	if len(name) <= maxChildName {
		return name
	}
	hash := fmt.Sprintf("_%08x", uint32(hashText(name)))
	return strings.ToValidUTF8(name[:maxChildName-len(hash)], "") + hash
}

// find is the table of an array; nil: there is none.
func (k *children) find(path string) *child {
	for _, x := range k.list {
		if x.path == path {
			return x
		}
	}
	return nil
}

// meet makes those known that the plan has.
func (k *children) meet() map[string][]vector.Column {
	d := k.c.docs
	d.mu.Lock()
	defer d.mu.Unlock()
	kids := d.shaper.Children()
	columns := make(map[string][]vector.Column, len(kids))
	for i, t := range childTables(k.c.cfg.Table, kids) {
		columns[kids[i].Path] = kids[i].Columns()
		if i >= len(k.list) {
			k.list = append(k.list, &child{path: kids[i].Path, table: t})
		}
	}
	return columns
}

// write stages rows of arrays.
func (k *children) write(ctx context.Context, all []childRows) error {
	for _, rows := range all {
		x := k.find(rows.path)
		if x == nil {
			k.meet()
			x = k.find(rows.path)
		}
		if err := k.open(ctx, x, rows.chunk.Columns); err != nil {
			return err
		}
		grown, list := merge(x.columns, rows.chunk.Columns)
		if len(grown) > 0 {
			if err := x.stage.AddColumns(ctx, grown); err != nil {
				return err
			}
			x.columns = list
		}
		chunk := conform(rows.chunk, x.columns)
		rejects, err := x.stage.Write(ctx, chunk, nil)
		if err != nil {
			return err
		}
		x.rows += int64(chunk.Rows)
		k.note(x, chunk, append(chunk.Rejects, rejects...))
	}
	return nil
}

// note keeps rejects with the key of the row that the array is in.
func (k *children) note(x *child, chunk *vector.Chunk, rejects []vector.Reject) {
	for _, r := range rejects {
		if x.listed += len(r.Value) + len(r.Column) + len(r.Reason) + 96; x.listed > maxRejects {
			x.more++
			continue
		}
		x.rejects = append(x.rejects, warehouse.MirrorReject{
			Key: keyText(chunk, []string{childParent}, r.Row), Column: r.Column, Value: r.Value, Reason: r.Reason, At: k.c.report.Started,
		})
	}
}

func (k *children) open(ctx context.Context, x *child, columns []vector.Column) (err error) {
	if x.stage == nil {
		x.stage, err = k.c.m.o.Target.Stage(ctx, x.table, warehouse.StageOptions{Run: k.c.w.id, Columns: columns, Key: []string{childParent}})
		x.columns = columns
	}
	return err
}

// publication are the tables that are published with the rows. One that nothing was staged for is staged empty: arrays may have become so.
func (k *children) publication(ctx context.Context) ([]warehouse.Child, error) {
	if k == nil {
		return nil, nil
	}
	columns := k.meet()
	var out []warehouse.Child
	for _, x := range k.list {
		if err := k.open(ctx, x, columns[x.path]); err != nil {
			return nil, err
		}
		out = append(out, warehouse.Child{Table: x.table, Parent: childParent, Rejects: x.rejects})
		k.c.notice("%s: %d rows of arrays", x.table.Table, x.rows)
		if x.more > 0 {
			k.c.notice("%s: %d rejected values more than its table of rejects lists", x.table.Table, x.more)
		}
	}
	return out, nil
}

// discard drops what was staged.
func (k *children) discard(ctx context.Context) error {
	if k == nil {
		return nil
	}
	var err error
	for _, x := range k.list {
		if x.stage != nil {
			err = errors.Join(err, x.stage.Discard(ctx))
		}
	}
	return err
}

// abandoned tells of the tables of arrays that an earlier run wrote and this one does not.
func (c *copying) abandoned() {
	plan, err := infer.ParsePlan(c.last.Plan)
	if err != nil || len(c.last.Plan) == 0 {
		return
	}
	for _, old := range plan.Children {
		if !slices.Contains(c.cfg.Tables, old.Path) && !slices.ContainsFunc(c.cfg.Columns, func(r ColumnRule) bool { return r.Path == old.Path && r.Arrays == "table" }) {
			c.notice("the table of %s is no longer written: it stays as it is until somebody drops it", old.Path)
		}
	}
}
