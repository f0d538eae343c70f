package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go/table"
)

// Space is the catalog of another namespace in the same database, made where it is missing and the catalog is not for reading. It shares
// the connection: closing either closes both. Its tables lie below the root of io. Snapshots is as in [Options].
func (c *Catalog) Space(ctx context.Context, namespace string, io *FileIO, snapshots int) (*Catalog, error) {
	s := &Catalog{
		db: c.db, path: c.path, io: io, name: c.name, namespace: namespace, step: c.step, now: c.now, keep: snapshots, readOnly: c.readOnly,
		loaded: map[string]loaded{},
	}
	if c.readOnly {
		return s, nil
	}
	_, err := c.db.ExecContext(ctx, "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true')", c.name, namespace)
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", namespace, err)
	}
	return s, nil
}

// Namespace is the one whose tables the catalog holds.
func (c *Catalog) Namespace() string { return c.namespace }

// Namespaces lists those of the database, sorted.
func (c *Catalog) Namespaces(ctx context.Context) (names []string, err error) {
	rows, err := c.db.QueryContext(ctx, "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?", c.name)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, rows.Err()
}

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
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	defer tx.Rollback()
	for _, r := range rows {
		if err := c.put(ctx, tx, r); err != nil {
			return fmt.Errorf("%w: table %s: %w", table.ErrCommitFailed, r.Table, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit %d tables: %w", len(rows), err)
	}
	for _, r := range rows {
		switch {
		case r.Drop:
			c.forget(r.Table)
		case r.Rename != "":
			c.forget(r.Table)
			c.remember(r.Rename, r.to, r.metadata)
		default:
			c.remember(r.Table, r.to, r.metadata)
		}
	}
	return nil
}

// row is a change whose metadata is written.
type row struct {
	Change
	from, to string // locations of metadata
	metadata table.Metadata
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

func (c *Catalog) put(ctx context.Context, tx *sql.Tx, r row) error {
	const where = " WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?"
	var result sql.Result
	var err error
	switch {
	case r.Drop:
		result, err = tx.ExecContext(ctx, "DELETE FROM iceberg_tables"+where, c.name, c.namespace, r.Table, r.from)
	case r.Rename != "":
		if _, err := tx.ExecContext(ctx, "DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
			c.name, c.namespace, r.Rename); err != nil {
			return err
		}
		result, err = tx.ExecContext(ctx, "UPDATE iceberg_tables SET table_name = ?, metadata_location = ?, previous_metadata_location = ?"+where,
			r.Rename, r.to, r.from, c.name, c.namespace, r.Table, r.from)
	default:
		result, err = tx.ExecContext(ctx, "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?, iceberg_type = 'TABLE'"+where,
			r.to, r.from, c.name, c.namespace, r.Table, r.from)
	}
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = errors.New("it was changed by another committer")
	}
	return err
}

func (c *Catalog) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loaded, name)
}
