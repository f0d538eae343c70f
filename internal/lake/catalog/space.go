package catalog

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go/table"
)

// Space is the catalog of another namespace in the same database, made where it is missing and the catalog is not for reading. It shares
// the connection: closing either closes both. Its tables lie below the root of io. Snapshots is as in [Options].
func (c *Catalog) Space(ctx context.Context, namespace string, io *FileIO, snapshots int) (*Catalog, error) {
	s := &Catalog{
		db: c.db, reg: c.reg, rest: c.rest, path: c.path, io: io, name: c.name, namespace: namespace, step: c.step, now: c.now, keep: keeping{last: snapshots}, readOnly: c.readOnly, space: true,
		loaded: map[string]loaded{},
	}
	if c.readOnly {
		return s, nil
	}
	return s, s.ready(ctx)
}

// Namespace is the one whose tables the catalog holds.
func (c *Catalog) Namespace() string { return c.namespace }

// Namespaces lists those of the database, sorted.
func (c *Catalog) Namespaces(ctx context.Context) ([]string, error) { return c.reg.namespaces(ctx) }

// Change is one table's part of [Catalog.CommitAll].
type Change struct {
	Table        string
	Requirements []table.Requirement
	Updates      []table.Update
	// Drop takes the table out of the catalog; its files stay to be swept. The other fields but Table and Requirements mean nothing then.
	Drop bool
	// Rename, where set, is the table's name from now on; its files stay where they are. One that has the name already is dropped.
	Rename string
}

// CommitAll makes changes to several tables of the namespace at once: readers see all of them or none. An error that is not
// table.ErrCommitFailed leaves open whether they took place: load a table and see, and see [Catalog.Confirm].
func (c *Catalog) CommitAll(ctx context.Context, changes []Change) error {
	var rows []row
	for _, ch := range changes {
		r, err := c.prepare(ctx, ch)
		if err != nil {
			return fmt.Errorf("%w: table %s: %w", table.ErrCommitFailed, ch.Table, err)
		}
		rows = append(rows, r)
	}
	if err := c.step("catalog rows"); err != nil {
		return fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	if err := c.exchangeAll(ctx, rows); err != nil {
		return fmt.Errorf("commit %d tables: %w", len(rows), err)
	}
	for _, r := range rows {
		switch {
		case r.Drop:
			c.forget(r.Table)
		case r.Rename != "":
			c.forget(r.Table)
			c.forget(r.Rename) // its metadata bears the name that it was made with
		case r.metadata != nil && c.rest == nil:
			c.remember(r.Table, r.to, r.metadata)
		}
	}
	return nil
}

// row is a change whose metadata is written.
type row struct {
	Change
	from, to string // locations of metadata
	alone    bool   // no metadata came before
	metadata table.Metadata
	updates  []table.Update // as a REST catalog takes them
}

func (c *Catalog) prepare(ctx context.Context, ch Change) (row, error) {
	r := row{Change: ch}
	current, err := c.Load(ctx, ch.Table)
	if err != nil {
		return r, err
	}
	for _, q := range ch.Requirements {
		if err := q.Validate(current.Metadata()); err != nil {
			return r, err
		}
	}
	r.from, r.to, r.metadata = current.MetadataLocation(), current.MetadataLocation(), current.Metadata()
	if ch.Drop || len(ch.Updates) == 0 {
		return r, nil
	}
	at := after(current.Metadata(), c.now().UnixMilli())
	if c.rest != nil {
		r.updates, err = timed(current.Metadata(), ch.Updates, at, c.keep)
		return r, err
	}
	if r.metadata, err = apply(current.Metadata(), ch.Updates, r.from, at, c.keep); err != nil {
		return r, err
	}
	n, err := number(r.from)
	if err != nil {
		return r, err
	}
	r.to, err = c.write(r.metadata, n+1)
	return r, err
}

func (c *Catalog) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loaded, name)
}
