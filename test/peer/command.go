package peer

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// carryOut answers the commands that read; the caller holds the lock.
func (p *Peer) carryOut(name string, command bson.Raw) bson.D {
	database := text(command, "$db")
	switch name {
	case "find":
		c := p.collections[text(command, "find")]
		filter, _ := command.Lookup("filter").DocumentOK()
		sort, _ := command.Lookup("sort").DocumentOK()
		docs, refusal := c.find(filter, sort)
		if refusal != nil {
			return refusal
		}
		if n, ok := command.Lookup("limit").AsInt64OK(); ok && n > 0 {
			docs = docs[:min(int(n), len(docs))]
		}
		return p.cursor(database+"."+text(command, "find"), docs, command.Lookup("batchSize"), command.Lookup("singleBatch"))
	case "aggregate":
		return p.aggregate(database, command)
	case "getMore":
		return p.getMore(command)
	case "killCursors":
		ids, _ := command.Lookup("cursors").ArrayOK()
		values, _ := ids.Values()
		for _, v := range values {
			delete(p.cursors, v.AsInt64())
		}
		return ok(nil)
	case "count":
		n := 0
		if c := p.collections[text(command, "count")]; c != nil {
			n = len(c.docs)
		}
		return ok(bson.D{{Key: "n", Value: int32(n)}})
	case "collStats":
		size := 0
		if c := p.collections[text(command, "collStats")]; c != nil {
			for _, d := range c.docs {
				size += len(d)
			}
		}
		return ok(bson.D{{Key: "size", Value: int64(size)}})
	case "listCollections":
		return p.list(database)
	}
	return failure(59, "CommandNotFound", "no such command: '"+name+"'")
}

func text(d bson.Raw, field string) string {
	s, _ := d.Lookup(field).StringValueOK()
	return s
}

func commandName(command bson.Raw) string {
	e, err := command.IndexErr(0)
	if err != nil {
		return ""
	}
	return e.Key()
}

// find is the documents that match, in order; of a collection that is not there, none.
func (c *collection) find(filter, sort bson.Raw) ([]bson.Raw, bson.D) {
	if c == nil {
		return nil, nil
	}
	var out []bson.Raw
	for _, d := range c.docs {
		match, err := matches(d, filter)
		if err != nil {
			return nil, failure(2, "BadValue", err.Error())
		}
		if match {
			out = append(out, d)
		}
	}
	if e, err := sort.IndexErr(0); err == nil {
		key, order := e.Key(), int(e.Value().AsInt64())
		slices.SortStableFunc(out, func(a, b bson.Raw) int { return order * Compare(a.Lookup(key), b.Lookup(key)) })
	}
	return out, nil
}

// aggregate knows the stages that match and sort, and passes the documents on in those that only change their fields.
func (p *Peer) aggregate(database string, command bson.Raw) bson.D {
	name := text(command, "aggregate")
	c := &collection{}
	if from := p.collections[name]; from != nil {
		c.docs = from.docs
	}
	stages, _ := command.Lookup("pipeline").ArrayOK()
	values, _ := stages.Values()
	for _, v := range values {
		e, err := v.Document().IndexErr(0)
		if err != nil {
			return failure(40323, "Location40323", "A pipeline stage specification object must contain exactly one field.")
		}
		var refusal bson.D
		switch e.Key() {
		case "$match":
			c.docs, refusal = c.find(e.Value().Document(), nil)
		case "$sort":
			c.docs, refusal = c.find(nil, e.Value().Document())
		case "$project", "$unset", "$set", "$addFields":
		default:
			refusal = failure(40324, "Location40324", "Unrecognized pipeline stage name: '"+e.Key()+"'")
		}
		if refusal != nil {
			return refusal
		}
	}
	size := bson.RawValue{}
	if o, ok := command.Lookup("cursor").DocumentOK(); ok {
		size = o.Lookup("batchSize")
	}
	return p.cursor(database+"."+name, c.docs, size, bson.RawValue{})
}

// cursor answers the first batch, and keeps the rest.
func (p *Peer) cursor(namespace string, docs []bson.Raw, size, single bson.RawValue) bson.D {
	n := p.FirstBatch
	if asked, ok := size.AsInt64OK(); ok {
		n = int(asked)
	}
	c := &cursor{namespace: namespace, docs: docs}
	first := c.batch(p.limit(n))
	id := int64(0)
	if one, _ := single.BooleanOK(); len(c.docs) > 0 && !one {
		p.next++
		id = p.next
		p.cursors[id] = c
	}
	return ok(bson.D{{Key: "cursor", Value: bson.D{{Key: "firstBatch", Value: first}, {Key: "id", Value: id}, {Key: "ns", Value: namespace}}}})
}

func (p *Peer) limit(n int) int {
	if p.BatchLimit > 0 {
		return min(n, p.BatchLimit)
	}
	return n
}

func (c *cursor) batch(n int) bson.A {
	out := bson.A{}
	for size := 0; len(out) < n && len(c.docs) > 0 && (size == 0 || size+len(c.docs[0]) <= 16<<20); c.docs = c.docs[1:] {
		out = append(out, c.docs[0])
		size += len(c.docs[0])
	}
	return out
}

func (p *Peer) getMore(command bson.Raw) bson.D {
	id := command.Lookup("getMore").AsInt64()
	c := p.cursors[id]
	if c == nil {
		return failure(43, "CursorNotFound", "cursor id "+command.Lookup("getMore").String()+" not found")
	}
	n := 1 << 30
	if asked, ok := command.Lookup("batchSize").AsInt64OK(); ok && asked > 0 {
		n = int(asked)
	}
	docs := c.batch(p.limit(n))
	if len(c.docs) == 0 {
		delete(p.cursors, id)
		id = 0
	}
	return ok(bson.D{{Key: "cursor", Value: bson.D{{Key: "nextBatch", Value: docs}, {Key: "id", Value: id}, {Key: "ns", Value: c.namespace}}}})
}

func (p *Peer) list(database string) bson.D {
	out := bson.A{}
	for name, c := range p.collections {
		out = append(out, bson.D{{Key: "name", Value: name}, {Key: "type", Value: c.kind}})
	}
	return ok(bson.D{{Key: "cursor", Value: bson.D{
		{Key: "firstBatch", Value: out}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: database + ".$cmd.listCollections"},
	}}})
}
