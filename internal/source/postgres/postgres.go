// Package postgres reads tables and queries of PostgreSQL servers, version 12 and later: many rows at once by COPY in the binary
// format, which is decoded straight into vectors. Types are decided from the catalogue, before a row is read; what has no kind of its
// own comes as the text that the server prints.
package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
)

// Table is a table, a view or a query that is read. It implements the mirrors' Source and RawSource: Scan, ScanRaw and Get may be
// called by several goroutines, the rest by one at a time.
type Table struct {
	config *pgx.ConnConfig
	spec   source.Spec
	name   string // of the database, as configured
	slots  chan struct{}

	mu      sync.Mutex
	idle    []*link
	open    int // connections
	closed  bool
	reading *reading
	plan    *plan // of the last Describe
}

// defaultConcurrency is the most connections of a Table where the options do not say.
const defaultConcurrency = 4

// Open prepares to read what the spec says: Table with Where, or Query; in a get also Key. It connects when it is first asked for
// something. A url that cannot be read is an error that has no part of it.
func Open(_ context.Context, url string, spec source.Spec, o source.Options) (*Table, error) {
	config, err := parseURL(url, o)
	if err != nil {
		return nil, err
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	name := o.Name
	if name == "" {
		name = config.Database
	}
	return &Table{config: config, spec: spec, name: name, slots: make(chan struct{}, o.Concurrency)}, nil
}

// Describe asks the catalogue for columns and types, and the planner how many rows there are.
func (t *Table) Describe(ctx context.Context) (*source.Info, error) {
	var now *plan
	var info *source.Info
	err := t.use(ctx, func(l *link) error {
		var err error
		if now, err = t.describe(ctx, l); err != nil {
			return err
		}
		info, err = now.info(ctx, l)
		return err
	})
	if err != nil {
		return nil, t.fail("read", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = now
	return info, nil
}

// planned is what was described last.
func (t *Table) planned(ctx context.Context) (*plan, error) {
	t.mu.Lock()
	have := t.plan
	t.mu.Unlock()
	if have != nil {
		return have, nil
	}
	var now *plan
	err := t.use(ctx, func(l *link) error {
		var err error
		now, err = t.describe(ctx, l)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = now
	return now, nil
}
