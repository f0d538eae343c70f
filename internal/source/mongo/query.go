package mongo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/source"
)

// statement is one find, or an aggregate where there are stages.
type statement struct {
	filter, projection, sort bson.D
	stages                   []bson.D
}

// plan is what a Spec asks for, parsed.
type plan struct {
	filter, projection, sort bson.D
	pipeline                 []bson.D // nil: none
	columns, exclude         []string
	key                      string // of a get
}

func newPlan(s source.Spec) (*plan, error) {
	p := &plan{columns: s.Columns, exclude: s.Exclude, key: s.Key}
	if p.key == "" {
		p.key = "_id"
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
		to   *bson.D
	}{{"filter", s.Filter, &p.filter}, {"projection", s.Projection, &p.projection}, {"sort", s.Sort, &p.sort}} {
		if err := parse(part.name, part.text, part.to); err != nil {
			return nil, err
		}
	}
	if s.Pipeline != nil {
		var stages struct{ P []bson.D }
		if err := parse("pipeline", slices.Concat([]byte(`{"p":`), s.Pipeline, []byte("}")), &stages); err != nil {
			return nil, err
		}
		p.pipeline = slices.Concat([]bson.D{}, stages.P) // never nil
	}
	for i, stage := range p.pipeline {
		if len(stage) != 1 {
			return nil, fmt.Errorf("stage %d of the pipeline has %d operators: each has one", i+1, len(stage))
		}
		if op := stage[0].Key; op == "$out" || op == "$merge" {
			return nil, fmt.Errorf("stage %d of the pipeline is %s, which writes to the database: a mirror only reads", i+1, op)
		}
	}
	if s.ID != "" && p.columns == nil && p.pipeline == nil && p.projection == nil {
		p.columns = []string{s.ID}
	}
	return p, nil
}

// parse reads Extended JSON, relaxed or canonical, in its order.
func parse(name string, text json.RawMessage, to any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if !json.Valid(text) {
		return fmt.Errorf("the %s is not JSON", name)
	}
	if err := bson.UnmarshalExtJSON(text, false, to); err != nil {
		return fmt.Errorf("the %s is not Extended JSON: %w", name, err)
	}
	return nil
}

// and joins conditions, leaving out those that say nothing.
func and(conditions ...bson.D) bson.D {
	conditions = slices.DeleteFunc(conditions, func(d bson.D) bool { return len(d) == 0 })
	switch len(conditions) {
	case 0:
		return bson.D{}
	case 1:
		return conditions[0]
	}
	return bson.D{{Key: "$and", Value: list(conditions)}}
}

// or joins conditions of which there is at least one.
func or(conditions ...bson.D) bson.D {
	if len(conditions) == 1 {
		return conditions[0]
	}
	return bson.D{{Key: "$or", Value: list(conditions)}}
}

func list(d []bson.D) bson.A {
	a := make(bson.A, len(d))
	for i := range d {
		a[i] = d[i]
	}
	return a
}

// is is the condition that a field compares so with a value.
func is(field, operator string, value any) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: operator, Value: value}}}}
}

// scan is the statement of a scan or get: the documents that meet the condition, with what the reader wants of them. In a pipeline the
// condition is about what comes out of it.
func (p *plan) scan(condition bson.D, byID bool, w wanted) statement {
	s := statement{filter: and(p.filter, condition), sort: p.sort}
	if byID {
		s.sort = bson.D{{Key: "_id", Value: 1}}
	}
	projections := w.projections()
	if p.pipeline == nil {
		if p.projection != nil {
			projections = append([]bson.D{p.projection}, projections...)
		}
		if len(projections) < 2 {
			if len(projections) == 1 {
				s.projection = projections[0]
			}
			return s
		}
		if len(s.filter) > 0 {
			s.stages = append(s.stages, bson.D{{Key: "$match", Value: s.filter}})
		}
		if len(s.sort) > 0 {
			s.stages = append(s.stages, bson.D{{Key: "$sort", Value: s.sort}})
		}
	} else {
		s.stages = append(s.stages, p.pipeline...)
		if len(condition) > 0 {
			s.stages = append(s.stages, bson.D{{Key: "$match", Value: condition}})
		}
	}
	for _, d := range projections {
		s.stages = append(s.stages, bson.D{{Key: "$project", Value: d}})
	}
	return statement{stages: append([]bson.D{}, s.stages...)}
}

// wanted is what leaves the server.
type wanted struct {
	all     bool     // everything but exclude
	include []string // otherwise these, which do not lie in one another
	exclude []string // lie in an included one, or are all that is left out
	drop    bool     // _id is asked of the server for the reading's own sake and not handed out
}

// want says what leaves the server: the columns but for the excluded ones; of them those that only names, where it is not nil; and the
// field that the reading itself needs, which is dropped again unless it is for others, too.
func (p *plan) want(only []string, need string, drop bool) wanted {
	w := wanted{all: p.columns == nil && only == nil}
	include := p.columns
	if only != nil {
		include = p.among(only)
	}
	needed := need != "" && !w.all && !slices.ContainsFunc(include, func(c string) bool { return within(need, c) })
	for _, path := range outermost(include) {
		if !slices.ContainsFunc(p.exclude, func(e string) bool { return within(path, e) }) {
			w.include = append(w.include, path)
		}
	}
	if needed {
		w.include = append(w.include, need)
		w.drop = drop
	}
	for _, e := range outermost(p.exclude) {
		if need != "" && !drop && within(need, e) {
			continue
		}
		if w.all || slices.ContainsFunc(w.include, func(c string) bool { return within(e, c) && e != c }) {
			w.exclude = append(w.exclude, e)
		}
	}
	return w
}

// among are the paths that the columns let through, or what the columns name of them.
func (p *plan) among(paths []string) (out []string) {
	for _, path := range paths {
		if p.columns == nil || slices.ContainsFunc(p.columns, func(c string) bool { return within(path, c) }) {
			out = append(out, path)
			continue
		}
		for _, c := range p.columns {
			if within(c, path) {
				out = append(out, c)
			}
		}
	}
	return out
}

// within reports whether a dotted path is another one or lies in it.
func within(path, in string) bool {
	return path == in || strings.HasPrefix(path, in) && path[len(in)] == '.'
}

// outermost leaves out the paths that lie in another one: a server refuses both at once.
func outermost(paths []string) (out []string) {
	for i, path := range paths {
		inside := func(other string) bool { return other != path && within(path, other) }
		if !slices.ContainsFunc(paths, inside) && !slices.Contains(paths[:i], path) {
			out = append(out, path)
		}
	}
	return out
}

// projections is what makes the server send that: none, one, or an inclusion and then an exclusion, which no find does at once.
func (w wanted) projections() (out []bson.D) {
	if !w.all {
		include, whole := w.sent()
		if !whole {
			d := make(bson.D, 0, len(include)+1)
			for _, path := range include {
				d = append(d, bson.E{Key: path, Value: 1})
			}
			if len(d) == 0 {
				d = append(d, bson.E{Key: "_id", Value: 1})
			} else if !slices.ContainsFunc(include, func(c string) bool { return within(c, "_id") }) {
				d = append(d, bson.E{Key: "_id", Value: 0})
			}
			out = append(out, d)
		}
	}
	var d bson.D
	for _, path := range w.exclude {
		if askable(path) {
			d = append(d, bson.E{Key: path, Value: 0})
		}
	}
	if d != nil {
		out = append(out, d)
	}
	return out
}

// sent are the included paths as a server takes them: of one that it would refuse, what that lies in, and whole where that is the
// document.
func (w wanted) sent() (paths []string, whole bool) {
	for _, path := range w.include {
		for !askable(path) {
			i := strings.LastIndexByte(path, '.')
			if i < 0 {
				return nil, true
			}
			path = path[:i]
		}
		paths = append(paths, path)
	}
	return outermost(paths), false
}

// askable reports whether a server takes a path in a projection: no empty part, and none that looks like an operator.
func askable(path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		if part == "" || part[0] == '$' {
			return false
		}
	}
	return !strings.Contains(path, "\x00")
}
