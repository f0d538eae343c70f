package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Condemned is a file that nothing names any more and that waits for the end of its grace. That it waits is kept in a table of
// the catalog, so that the wait goes on where it was after a restart.
type Condemned struct {
	Path  string    // relative to the folder of all tables, with slashes
	Since time.Time // when it was first seen dead; milliseconds
	Bytes int64
}

// condemnedBatch bounds a transaction: commits wait for it.
const condemnedBatch = 500

// Condemned lists the condemned files.
func (c *Catalog) Condemned(ctx context.Context) (files []Condemned, err error) {
	rows, err := c.db.QueryContext(ctx, "SELECT path, since_ms, bytes FROM firth_condemned")
	if err != nil {
		return nil, fmt.Errorf("list condemned files: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f Condemned
		var since int64
		if err := rows.Scan(&f.Path, &since, &f.Bytes); err != nil {
			return nil, fmt.Errorf("list condemned files: %w", err)
		}
		f.Since = time.UnixMilli(since)
		files = append(files, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list condemned files: %w", err)
	}
	return files, nil
}

// Condemn writes down files, or, where a file is condemned already, its new time.
func (c *Catalog) Condemn(ctx context.Context, files []Condemned) error {
	const upsert = `INSERT INTO firth_condemned (path, since_ms, bytes) VALUES (?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET since_ms = excluded.since_ms, bytes = excluded.bytes`
	return eachBatch(ctx, c.db, "condemn files", upsert, files, func(f Condemned) []any {
		return []any{f.Path, f.Since.UnixMilli(), f.Bytes}
	})
}

// Acquit forgets condemned files: they are gone, or in use again. A path that is not condemned is none the worse for it.
func (c *Catalog) Acquit(ctx context.Context, paths []string) error {
	return eachBatch(ctx, c.db, "acquit files", "DELETE FROM firth_condemned WHERE path = ?", paths, func(p string) []any {
		return []any{p}
	})
}

// eachBatch runs a statement for each item, some hundred to a transaction.
func eachBatch[T any](ctx context.Context, db *sql.DB, what, statement string, items []T, args func(T) []any) error {
	for len(items) > 0 {
		n := min(len(items), condemnedBatch)
		if err := transact(ctx, db, statement, items[:n], args); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		items = items[n:]
	}
	return nil
}

func transact[T any](ctx context.Context, db *sql.DB, statement string, items []T, args func(T) []any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	prepared, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	for _, item := range items {
		if _, err := prepared.ExecContext(ctx, args(item)...); err != nil {
			return errors.Join(err, prepared.Close())
		}
	}
	if err := prepared.Close(); err != nil {
		return err
	}
	return tx.Commit()
}

// Sizes tells the bytes of the database and of its write-ahead log.
func (c *Catalog) Sizes() (database, log int64, err error) {
	if database, err = sizeOf(c.path); err != nil {
		return 0, 0, err
	}
	log, err = sizeOf(c.path + "-wal")
	return database, log, err
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("size of the catalog: %w", err)
	}
	return info.Size(), nil
}
