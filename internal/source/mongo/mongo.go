// Package mongo reads collections of MongoDB, and of servers that speak its protocol: by find or by a pipeline, a batch of documents
// at a time, from the bytes that come into document values without a step between.
//
// A collection is read in the order of _id, so that a reading whose cursor is lost goes on behind the last document that it had, and
// so that several can read pieces of it. What is not a plain collection (a view, a time series, the outcome of a pipeline, or one
// with an order of its own) is read in one scan.
package mongo

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"firth/internal/source"
	"firth/internal/vector"
)

// Table is one collection that is read, or what a pipeline makes of it. It may be used by several goroutines.
type Table struct {
	a      address
	name   string // of the database, as configured
	spec   source.Spec
	plan   *plan
	client *mongo.Client
	from   *mongo.Collection

	// least is how many documents a piece of a reading has, about, and pause waits before a lost reading goes on for the nth time.
	least int64
	pause func(ctx context.Context, n int) error

	mu    sync.Mutex
	kind  string // collection, view or timeseries; empty: not asked yet
	known bool   // the server knows the rare types
	batch int32  // documents asked for at once
}

const (
	leastPiece = 20_000
	// batchBytes is how much a batch holds, about, and batchDocs how many documents at most. A document is up to 16 MB; then it is alone.
	batchBytes = 2 << 20
	batchDocs  = 5000
	firstDocs  = 101 // where the size of documents is not known; what a server itself takes
)

// Open prepares the reading of spec.Collection in the database that the URL names. It connects when something is first asked for.
func Open(ctx context.Context, url string, spec source.Spec, o source.Options) (*Table, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, &source.Error{Op: "connect", Name: o.Name, Err: err, Advice: "for example mongodb://firth:...@host:27017/app"}
	}
	if spec.Collection == "" {
		return nil, &source.Error{Op: "read", Name: o.Name, Err: errors.New("no collection is named"), Advice: "say collection: NAME"}
	}
	p, err := newPlan(spec)
	if err != nil {
		return nil, &source.Error{
			Op: "read", Name: spec.Collection, Err: err, Advice: `Extended JSON writes a date as {"$date": "2026-01-31T00:00:00Z"} and an ObjectID as {"$oid": "..."}`,
		}
	}
	client, err := connect(a, o, patienceWithin(ctx))
	if err != nil {
		return nil, &source.Error{Op: "connect", Name: o.Name, Err: errors.New(a.hide(err.Error())), Advice: "for example mongodb://firth:...@host:27017/app"}
	}
	t := &Table{
		a: a, name: o.Name, spec: spec, plan: p, client: client, from: client.Database(a.database).Collection(spec.Collection),
		least: leastPiece, pause: pause, batch: firstDocs,
	}
	return t, nil
}

// pause waits 0.1 s and twice as long each time, up to 5 s.
func pause(ctx context.Context, n int) error {
	timer := time.NewTimer(min(100*time.Millisecond<<min(n, 10), 5*time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Table) fail(ctx context.Context, op string, err error) error {
	return t.a.fail(ctx, op, t.spec.Collection, err)
}

// Describe asks the server whether the collection is there and may be read, what kind it is, and how large.
func (t *Table) Describe(ctx context.Context) (*source.Info, error) {
	if err := t.look(ctx); err != nil {
		return nil, err
	}
	if err := t.try(ctx); err != nil {
		return nil, t.fail(ctx, "read", err)
	}
	info := &source.Info{Rows: -1, Bytes: -1}
	if w := t.plan.want(nil, "_id", true); !w.drop && !w.without("_id") {
		info.Key = []string{"_id"}
	}
	if t.kind == kindCollection && t.plan.pipeline == nil {
		rows, bytes := t.estimate(ctx)
		if len(t.plan.filter) == 0 {
			info.Rows, info.Bytes = rows, bytes
		}
	}
	return info, nil
}

// The kinds of collections, as listCollections names them.
const (
	kindCollection = "collection"
	kindView       = "view"
	kindTimeSeries = "timeseries"
)

// look finds out what the collection is. One that is not there is an error: a find would say that it is empty.
func (t *Table) look(ctx context.Context) error {
	names, err := t.collections(ctx)
	if err != nil {
		return t.fail(ctx, "read", err)
	}
	kind, there := names[t.spec.Collection]
	if !there {
		return t.missing(names)
	}
	known := true
	if kind == kindCollection {
		codes := bson.A{}
		for _, t := range rare {
			codes = append(codes, int32(int8(t)))
		}
		_, err := t.end(ctx, is("_id", "$type", codes), 1)
		var refused mongo.ServerError
		if known = !errors.As(err, &refused) || passes(err); known && err != nil {
			return t.fail(ctx, "read", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kind, t.known = kind, known
	return nil
}

// collections are the kinds of those that the user may know of, by name.
func (t *Table) collections(ctx context.Context) (map[string]string, error) {
	o := options.ListCollections().SetNameOnly(true).SetAuthorizedCollections(true)
	cursor, err := t.from.Database().ListCollections(ctx, bson.D{}, o)
	if err != nil {
		return nil, err
	}
	var found []struct{ Name, Type string }
	if err := cursor.All(ctx, &found); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range found {
		if c.Type == "" {
			c.Type = kindCollection
		}
		out[c.Name] = c.Type
	}
	return out, nil
}

// try reads one document's _id, for the right to do so.
func (t *Table) try(ctx context.Context) error {
	_, err := t.from.FindOne(ctx, bson.D{}, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil
	}
	return err
}

// estimate is how many documents there are and how large they are together, from the server's books; -1 where it does not say. What
// it finds also sets how many are asked for at once.
func (t *Table) estimate(ctx context.Context) (rows, bytes int64) {
	rows, bytes = -1, -1
	if n, err := t.from.EstimatedDocumentCount(ctx); err == nil {
		rows = n
	}
	var stats struct {
		Size any `bson:"size"`
	}
	if err := t.from.Database().RunCommand(ctx, bson.D{{Key: "collStats", Value: t.spec.Collection}}).Decode(&stats); err == nil {
		switch n := stats.Size.(type) {
		case int32:
			bytes = int64(n)
		case int64:
			bytes = n
		case float64:
			bytes = int64(n)
		}
	}
	if rows > 0 && bytes > 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.batch = fitting(bytes / rows)
	}
	return rows, bytes
}

// fitting is how many documents of a size make a batch.
func fitting(size int64) int32 { return int32(min(max(batchBytes/max(size, 1), 1), batchDocs)) }

// Begin starts a reading. A server has no moment that lasts as long as a large copy does (its snapshots end after five minutes), so the
// scans of one reading each see documents as they are when they come to them; none twice.
func (t *Table) Begin(ctx context.Context) error {
	if err := t.look(ctx); err != nil {
		return err
	}
	t.estimate(ctx)
	return nil
}

// End ends a reading.
func (t *Table) End() error { return nil }

// Close ends the connections.
func (t *Table) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), selectPatience)
	defer cancel()
	if err := t.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return t.fail(ctx, "close", err)
	}
	return nil
}

// paged reports whether the documents are read in the order of _id, so that a reading can go on behind one.
func (t *Table) paged() bool {
	t.mu.Lock()
	kind := t.kind
	t.mu.Unlock()
	p := t.plan
	if kind != "" && kind != kindCollection || p.pipeline != nil || len(p.sort) > 0 {
		return false
	}
	for _, e := range p.projection {
		if within(e.Key, "_id") {
			return false
		}
	}
	for _, e := range p.exclude {
		if within(e, "_id") {
			return false
		}
	}
	return true
}

// Ranges cuts a large collection by its _ids.
func (t *Table) Ranges(ctx context.Context, pieces int) ([]source.Range, error) {
	all := []source.Range{{}}
	if _, err := t.asked(ctx); err != nil {
		return nil, err
	}
	if pieces <= 1 || !t.paged() {
		return all, nil
	}
	rows, err := t.from.EstimatedDocumentCount(ctx)
	if err != nil {
		return nil, t.fail(ctx, "count", err)
	}
	if pieces = int(min(int64(pieces), rows/t.least)); pieces <= 1 {
		return all, nil
	}
	found, err := t.ends(ctx)
	if err != nil {
		return nil, t.fail(ctx, "cut", err)
	}
	if ranges := cut(found, pieces); len(ranges) > 2 {
		return ranges, nil
	}
	return all, nil
}

// ends finds the brackets that the _ids are in, with the first and the last of each, by a few looks into the index.
func (t *Table) ends(ctx context.Context) (out []ends, err error) {
	t.mu.Lock()
	known := t.known
	t.mu.Unlock()
	for at := 0; at < len(brackets); {
		c, ok := whole(func(i int) bool { return i >= at }).condition(known, nil)
		if !ok {
			return out, nil
		}
		first, err := t.end(ctx, c, 1)
		if err != nil || first == nil {
			return out, err
		}
		i := bracketOf(first.Type)
		if i < at {
			return nil, nil // a server with an order of its own is read in one piece
		}
		last, err := t.end(ctx, segment{bracket: i}.condition(known), -1)
		if err != nil || last == nil {
			return nil, err
		}
		out = append(out, ends{bracket: i, min: *first, max: *last})
		at = i + 1
	}
	return out, nil
}

// end is the first _id in an order; nil where there is none.
func (t *Table) end(ctx context.Context, condition bson.D, order int) (*bson.RawValue, error) {
	o := options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetSort(bson.D{{Key: "_id", Value: order}})
	raw, err := t.from.FindOne(ctx, condition, o).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil //nolint:nilnil // an empty bracket is no error
	}
	if err != nil {
		return nil, err
	}
	v, err := raw.LookupErr("_id")
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Scan reads a range. A reading by _id whose cursor is lost goes on by itself.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	s, ok := parseRange(r.Range)
	if !ok {
		return nil, &source.Error{Op: "read", Name: t.spec.Collection, Err: errors.New("the range " + r.Range.Label + " is not one of a collection"), Changed: true}
	}
	known, err := t.asked(ctx)
	if err != nil {
		return nil, err
	}
	paged := t.paged()
	need := ""
	if paged {
		need = "_id"
	}
	return t.rows(from(t.spec.Cursor, r.From, known), s, t.plan.want(r.Only, need, true), paged), nil
}

// asked makes sure that it is known what the collection is, and tells whether the server knows the rare types.
func (t *Table) asked(ctx context.Context) (known bool, err error) {
	t.mu.Lock()
	kind, known := t.kind, t.known
	t.mu.Unlock()
	if kind != "" {
		return known, nil
	}
	if err := t.look(ctx); err != nil {
		return false, err
	}
	return t.asked(ctx)
}

// Get reads the documents whose key is one of the ids.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	known, err := t.asked(ctx)
	if err != nil {
		return nil, err
	}
	c := amongIDs(t.plan.key, ids, known)
	if c == nil {
		return &rows{t: t, done: true, arena: newArena()}, nil
	}
	return t.rows(c, nil, t.plan.want(nil, t.plan.key, false), false), nil
}
