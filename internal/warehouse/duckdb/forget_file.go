package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"firth/internal/disk"
	"firth/internal/warehouse"
)

// freshPrefix begins the names of files, in TempDir, that are made to take the place of the warehouse's.
const freshPrefix = "forget-"

// erase writes the file anew with what is committed, and puts it in the place of the old one. A row that is deleted stays in the old file
// for long: in blocks that are free, in versions of a block, in statistics, and the engine has nothing that overwrites them. The new file
// has never had it. Readers go on with the old file while the new one is written; a transaction keeps the file that it began with, the
// next one has the new, and the old one, which has no name any more, is gone with the last of them. Loads wait: the writer's lock is held.
//
// Whoever is killed before the rename leaves the old file as the last checkpoint had it, and a file that sweepFresh removes.
func (d *DB) erase(ctx context.Context, at func(string) error) error {
	if err := sweepFresh(d.options.TempDir); err != nil {
		return err
	}
	if err := at("copy"); err != nil {
		return err
	}
	fresh := filepath.Join(d.options.TempDir, freshPrefix+strconv.FormatInt(d.now().UnixNano(), 36)+".duckdb")
	if err := d.copyInto(ctx, fresh); err != nil {
		return errors.Join(fmt.Errorf("write %s anew: %w", d.path, err), sweepFresh(d.options.TempDir))
	}
	if err := at("rename"); err != nil {
		return errors.Join(err, sweepFresh(d.options.TempDir))
	}
	if err := os.Rename(fresh, d.path); err != nil {
		return errors.Join(fmt.Errorf("put the new file in the place of %s: %w", d.path, err), sweepFresh(d.options.TempDir))
	}
	err := disk.OS{}.SyncDir(filepath.Dir(d.path))
	if err == nil {
		err = at("attach")
	}
	if err == nil {
		err = d.turnTo(ctx, fresh)
	}
	if err != nil {
		// Whatever is written from now on would go into a file that has no name.
		d.lost = &warehouse.Error{Op: "open warehouse", Object: d.path, Kind: warehouse.Broken, Err: err, Hint: "the warehouse is opened anew by itself"}
		return d.lost
	}
	d.dirty, d.unsaved, d.tended = false, 0, d.now()
	clear(d.known)
	return nil
}

// copyInto makes a durable copy of the warehouse, and closes it.
func (d *DB) copyInto(ctx context.Context, fresh string) (err error) {
	if err := d.exec(ctx, attachFresh(fresh)); err != nil {
		return err
	}
	copied := false
	defer func() {
		if !copied {
			err = errors.Join(err, d.exec(context.WithoutCancel(ctx), "DETACH "+quote(freshCatalog)))
		}
	}()
	if err := d.exec(ctx, "COPY FROM DATABASE "+quote(d.catalog)+" TO "+quote(freshCatalog)); err != nil {
		return err
	}
	if err := d.compare(ctx); err != nil {
		return err
	}
	if err := d.exec(ctx, "CHECKPOINT "+quote(freshCatalog)); err != nil {
		return err
	}
	copied = true
	if err := d.exec(ctx, "DETACH "+quote(freshCatalog)); err != nil {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// compare fails where the copy has not all tables with all rows. Nobody writes meanwhile.
func (d *DB) compare(ctx context.Context) error {
	rows, err := d.writer.QueryContext(ctx, "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $1 AND NOT internal", d.catalog)
	if err != nil {
		return err
	}
	var names [][2]string
	for rows.Next() {
		var n [2]string
		if err = rows.Scan(&n[0], &n[1]); err != nil {
			break
		}
		names = append(names, n)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, n := range names {
		var old, fresh int64
		err := d.writer.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM "+quote(d.catalog)+"."+qualified(n[0], n[1])+"), (SELECT count(*) FROM "+
			quote(freshCatalog)+"."+qualified(n[0], n[1])+")").Scan(&old, &fresh)
		if err != nil {
			return fmt.Errorf("compare %s.%s: %w", n[0], n[1], err)
		}
		if old != fresh {
			return fmt.Errorf("the copy of %s.%s has %d rows of %d", n[0], n[1], fresh, old)
		}
	}
	return nil
}

// turnTo lets the engine go on with the new file. It is known under another name for that moment: the engine refuses a second file of a
// name while readers still have the first.
func (d *DB) turnTo(ctx context.Context, alias string) error {
	if err := os.Link(d.path, alias); err != nil {
		return err
	}
	err := d.exec(context.WithoutCancel(ctx), replaceFile(alias, d.catalog))
	return errors.Join(err, removeFiles(alias, alias+".wal"))
}

// sweepFresh removes what somebody who was killed has left.
func sweepFresh(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for files that were left: %w", err)
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), freshPrefix) && strings.Contains(e.Name(), ".duckdb") {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	return removeFiles(left...)
}
