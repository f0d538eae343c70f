package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/disk"
)

// newSuffix marks a warehouse that is being made.
const newSuffix = ".new"

// makeFile makes an empty warehouse where there is none. The engine writes a new file's headers one after the other, and takes a
// file with only some of them for a foreign one: whoever is killed there, or has no room for them, would leave a file that only
// a hand could remove. So it is made under another name, and has its own once it is whole and durable.
func makeFile(ctx context.Context, path string, o Options) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := path + newSuffix
	// A log without its file is what somebody left who deleted the file.
	if err := removeFiles(fresh, fresh+".wal", path+".wal"); err != nil {
		return err
	}
	if err := writeEmpty(ctx, fresh, o); err != nil {
		return errors.Join(err, removeFiles(fresh, fresh+".wal"))
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return disk.OS{}.SyncDir(filepath.Dir(path))
}

func removeFiles(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}

func writeEmpty(ctx context.Context, path string, o Options) error {
	connector, err := engine.NewConnector(path+"?"+o.settings().Encode(), nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	_, err = db.ExecContext(ctx, "CHECKPOINT")
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
