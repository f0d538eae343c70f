package query

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// The functions over files of the lake: each takes a source and a span of times of receipt, [from, to).
const (
	callFiles  = "firth_files"
	callEvents = "firth_events"
)

func isLakeCall(name string) bool { return name == callFiles || name == callEvents }

// Ends of a span that is open.
const (
	farPast   = math.MinInt64
	farFuture = math.MaxInt64
)

// constant is what an expression without columns has come to.
type constant struct {
	kind   string // the engine's name of its type
	text   string
	null   bool
	micros int64 // as a time, where timely
	timely bool
}

func (c *constant) integer() (int64, bool) {
	n, err := strconv.ParseInt(c.text, 10, 64)
	return n, err == nil && !c.null && (strings.HasSuffix(c.kind, "INT") || strings.HasSuffix(c.kind, "INTEGER"))
}

// evaluate works out an expression that the gate let through, with the statement's own parameters.
func (r *lakeRun) evaluate(ctx context.Context, part span) (*constant, error) {
	edits, params, _ := r.parameters(part.has)
	for i := range edits {
		edits[i].start -= part.start
		edits[i].end -= part.start
	}
	expression := apply(r.text[part.start:part.end], edits)
	rows, err := r.e.db.Stream(ctx, r.conn, "SELECT typeof(v), v::VARCHAR, epoch_us(TRY_CAST(v::VARCHAR AS TIMESTAMPTZ)) FROM (SELECT ("+expression+") AS v)", params)
	if err != nil {
		return nil, err
	}
	row, err := rows.Next()
	if errors.Is(err, io.EOF) {
		err = errors.New("an expression has no value")
	}
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	out := &constant{null: row[1] == nil}
	out.kind, _ = row[0].(string)
	out.text, _ = row[1].(string)
	out.micros, out.timely = row[2].(int64)
	return out, rows.Close()
}

// constantOnly refuses an expression that depends on rows.
func constantOnly(v any, what string) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := constantOnly(item, what); err != nil {
				return err
			}
		}
	case map[string]any:
		switch text(v, "class") {
		case "COLUMN_REF", "SUBQUERY", "STAR", "WINDOW", "POSITIONAL_REFERENCE":
			return fail(CodeFailed, "write a text such as '2026-11-01 12:00', a parameter, or an expression such as now() - INTERVAL 1 HOUR", "%s takes constants, no columns and no subqueries", what)
		}
		for _, item := range v {
			if err := constantOnly(item, what); err != nil {
				return err
			}
		}
	}
	return nil
}

// asOf works out an AT clause.
func (r *lakeRun) asOf(ctx context.Context, ref *lakeRef, clause map[string]any) error {
	if err := constantOnly(clause["expr"], "AS OF"); err != nil {
		return err
	}
	place, err := r.place(ref)
	if err != nil {
		return err
	}
	v, err := r.evaluate(ctx, place.value)
	if err != nil {
		return err
	}
	id, whole := v.integer()
	if text(clause, "unit") == "VERSION" && v.kind == "VARCHAR" {
		if id, err = strconv.ParseInt(v.text, 10, 64); err == nil {
			whole = true
		}
	}
	switch {
	case v.null:
		return fail(CodeFailed, "", "AS OF takes a time or a snapshot, and this is NULL")
	case whole && id > 0: // a number is no time, and ids are long
		ref.at = &LakeTime{Snapshot: id}
	case text(clause, "unit") == "VERSION":
		return fail(CodeFailed, "firth lake snapshots lists them; for a time write AS OF '2026-11-01 12:00'", "%q is no snapshot's id", v.text)
	case !v.timely:
		return fail(CodeFailed, "write it as '2026-11-01 12:00:00', or as '2026-11-01 12:00:00+01:00'; without a zone it is UTC", "%q is no time", v.text)
	default:
		ref.at = &LakeTime{Time: time.UnixMicro(v.micros).UTC()}
	}
	return nil
}

// arguments works out those of a call: the source, and the times from and to, by position or by name.
func (r *lakeRun) arguments(ctx context.Context, ref *lakeRef) error {
	call, _ := ref.node["function"].(map[string]any)
	children, _ := call["children"].([]any)
	if err := constantOnly(children, ref.call); err != nil {
		return err
	}
	place, err := r.place(ref)
	if err != nil {
		return err
	}
	usage := ref.call + "('production', '2026-11-01', '2026-11-08'): a source, and times of receipt, the first of which is in and the last is not"
	if len(place.arguments) == 0 || len(place.arguments) > 3 || len(place.arguments) != len(children) {
		return fail(CodeFailed, usage, "%s takes a source, and at most two times", ref.call)
	}
	ref.from, ref.to = farPast, farFuture
	given := map[string]bool{}
	for i, a := range place.arguments {
		name := a.name
		if name == "" {
			name = []string{"source", "from", "to"}[i]
		}
		if given[name] || name != "source" && name != "from" && name != "to" {
			return fail(CodeFailed, usage, "%s has no argument %s, or has it twice", ref.call, name)
		}
		given[name] = true
		v, err := r.evaluate(ctx, a.value)
		if err != nil {
			return err
		}
		if err := r.argument(ctx, ref, name, v); err != nil {
			return err
		}
	}
	if ref.table == "" {
		return fail(CodeFailed, usage, "%s needs the name of a source", ref.call)
	}
	return nil
}

func (r *lakeRun) argument(ctx context.Context, ref *lakeRef, name string, v *constant) error {
	switch {
	case name == "source":
		return r.source(ctx, ref, v)
	case v.null:
	case !v.timely:
		return fail(CodeFailed, "write it as '2026-11-01', or '2026-11-01 12:00:00+01:00'; without a zone it is UTC", "%s of %s is no time: %q", name, ref.call, v.text)
	case name == "from":
		ref.from = v.micros
	default:
		ref.to = v.micros
	}
	return nil
}

// source finds the table of a source that the user may read. One out of bounds is refused in the same words whether or not it exists.
func (r *lakeRun) source(ctx context.Context, ref *lakeRef, v *constant) error {
	if v.null {
		return nil
	}
	if !mayRead(r.user, v.text) {
		return fail(CodeForbidden, "you may read: "+strings.Join(r.user.Schemas, ", "), "you may not read %s", v.text)
	}
	tables, err := r.e.lakes.Tables(ctx)
	if err != nil {
		return err
	}
	var readable []string
	for _, t := range tables {
		if SchemaKey(t) == SchemaKey(v.text) {
			ref.table = t
			return nil
		}
		if mayRead(r.user, t) {
			readable = append(readable, t)
		}
	}
	text := nearest(v.text, readable)
	if text == "" && len(readable) > 0 {
		text = "it has " + strings.Join(readable[:min(len(readable), 8)], ", ")
	}
	return fail(CodeUnknownTable, text, "the lake has no source %s", v.text)
}
