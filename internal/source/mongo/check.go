package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"firth/internal/name"
	"firth/internal/source"
)

// Check looks at a database as such: whether it is reached, what it is, and whether anything in it may be read.
func Check(ctx context.Context, url string, o source.Options) []source.Finding {
	f := source.Finding{What: "connection"}
	a, err := parseAddress(url)
	var client *mongo.Client
	if err == nil {
		client, err = connect(a, o, patienceWithin(ctx))
	}
	if err != nil {
		f.Found, f.Hint = a.hide(err.Error()), "for example mongodb://firth:...@host:27017/app"
		return []source.Finding{f}
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // nothing is under way
	return []source.Finding{a.hello(ctx, client.Database(a.database))}
}

// patienceWithin ends before the context does: then it is known why no server could be read from.
func patienceWithin(ctx context.Context) time.Duration {
	by, ok := ctx.Deadline()
	if !ok {
		return selectPatience
	}
	return min(selectPatience, max(time.Until(by)*2/3, 100*time.Millisecond))
}

// hello asks a server who it is.
func (a address) hello(ctx context.Context, db *mongo.Database) source.Finding {
	f := source.Finding{What: "connection"}
	var hello struct {
		SetName   string `bson:"setName"`
		Msg       string `bson:"msg"`
		Secondary bool   `bson:"secondary"`
	}
	err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	var server mongo.ServerError
	if errors.As(err, &server) && server.HasErrorCode(codeCommandNotFound) { // the old name of it
		err = db.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&hello)
	}
	var build struct {
		Version string `bson:"version"`
	}
	if err == nil {
		err = db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build)
	}
	if err != nil {
		f.Found, f.Hint = a.finding(ctx, err)
		return f
	}
	f.OK, f.Found = true, "version "+build.Version
	switch {
	case hello.Msg == "isdbgrid":
		f.Found += ", a sharded cluster"
	case hello.SetName != "":
		f.Found += ", replica set " + hello.SetName
		if hello.Secondary {
			f.Found += ", a secondary"
		}
	default:
		f.Found += ", a server by itself"
	}
	return f
}

// finding is an error as a finding tells it.
func (a address) finding(ctx context.Context, err error) (found, hint string) {
	err = a.fail(ctx, "check", a.database, err)
	var e *source.Error
	if errors.As(err, &e) {
		return e.Err.Error(), e.Hint()
	}
	return a.hide(err.Error()), "try again"
}

// Check tells whether the collection can be read.
func (t *Table) Check(ctx context.Context) []source.Finding {
	out := []source.Finding{t.a.hello(ctx, t.from.Database())}
	if !out[0].OK {
		return out
	}
	f := source.Finding{What: "collection " + t.spec.Collection}
	names, err := t.collections(ctx)
	if err == nil {
		if _, there := names[t.spec.Collection]; !there {
			err = t.missing(names)
		}
	}
	if err == nil {
		err = t.try(ctx)
	}
	if err == nil && t.plan.pipeline != nil {
		err = t.tryPipeline(ctx)
	}
	if err != nil {
		f.Found, f.Hint = t.a.finding(ctx, err)
		return append(out, f)
	}
	f.OK, f.Found = true, "a "+names[t.spec.Collection]+" that may be read"
	return append(out, f)
}

// tryPipeline asks for nothing of what the pipeline makes: a server looks at the stages all the same.
func (t *Table) tryPipeline(ctx context.Context) error {
	stages := append([]bson.D{{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{}}}}}}}}, t.plan.pipeline...)
	if len(t.plan.pipeline) > 0 && slices.Contains(first, t.plan.pipeline[0][0].Key) {
		return nil
	}
	cursor, err := t.from.Aggregate(ctx, stages)
	if err != nil {
		return err
	}
	return cursor.Close(ctx)
}

// first are the stages that must be the first of a pipeline.
//
//nolint:gochecknoglobals // a constant table
var first = []string{"$search", "$searchMeta", "$vectorSearch", "$geoNear", "$indexStats", "$collStats", "$planCacheStats", "$changeStream"}

// missing is the error of a collection that is not there, with those that are named alike.
func (t *Table) missing(names map[string]string) error {
	e := &source.Error{
		Op: "read", Name: t.spec.Collection, Err: fmt.Errorf("there is no collection %q in the database %s, or the user may not know of it", t.spec.Collection, t.a.database),
		Changed: true,
	}
	near := slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(n string) bool { return !alike(n, t.spec.Collection) })
	switch {
	case len(near) > 0:
		e.Advice = "did you mean " + strings.Join(near[:min(len(near), 3)], ", ") + "?"
	case len(names) > 0:
		e.Advice = "there are " + strings.Join(slices.Sorted(maps.Keys(names))[:min(len(names), 10)], ", ")
	default:
		e.Advice = "the database has no collection that the user may see; look at its name in the URL"
	}
	if t.a.user != "" {
		e.Advice += "; the right to read is given by " + t.a.grant()
	}
	return e
}

// alike reports whether a name is likely another one misspelt.
func alike(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || name.Distance(a, b) <= max(1, len(b)/4) || len(b) > 3 && (strings.Contains(a, b) || strings.Contains(b, a) && len(a) > 3)
}
