package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go/table"
)

// MetadataAt reads the metadata of a table from a file that need not be the current one.
func (c *Catalog) MetadataAt(name, location string) (table.Metadata, error) {
	return c.metadata(name, location)
}

// Relocate makes metadata the current one of a table whose row names from, durably, and forgets what came before: no other
// metadata file is named by the row any more. What the metadata names must have been written through IO.
func (c *Catalog) Relocate(ctx context.Context, name, from string, metadata table.Metadata) (location string, err error) {
	n, err := number(from)
	if err != nil {
		return "", err
	}
	location, err = c.write(metadata, n+1)
	if err != nil {
		return "", err
	}
	if err := c.step("catalog row " + name); err != nil {
		return "", err
	}
	if c.rest != nil {
		return "", errors.New("a REST catalog cannot be told that a table was moved: drop its tables there and register them anew")
	}
	r := row{Change: Change{Table: name}, from: from, to: location, alone: true}
	if err := c.reg.exchange(ctx, c.namespace, []row{r}); err != nil {
		return "", fmt.Errorf("move table %s: %w", name, err)
	}
	c.remember(name, location, metadata)
	return location, nil
}

// Unlist takes tables out of the catalog, all of them or none, without a look at their files. The values are the locations that their rows
// name; an error that is table.ErrCommitFailed says that a row names another.
func (c *Catalog) Unlist(ctx context.Context, tables map[string]string) error {
	if c.rest != nil {
		return errors.New("a REST catalog cannot be told that tables are gone: drop them there")
	}
	var rows []row
	for name, location := range tables {
		rows = append(rows, row{Change: Change{Table: name, Drop: true}, from: location})
	}
	if err := c.reg.exchange(ctx, c.namespace, rows); err != nil {
		return fmt.Errorf("take %d tables out of the catalog: %w", len(rows), err)
	}
	for name := range tables {
		c.forget(name)
	}
	return nil
}

// Shed writes the database anew without what was deleted from it, and empties the write-ahead log.
func (c *Catalog) Shed(ctx context.Context) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := c.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("tidy catalog: %w", err)
		}
	}
	return nil
}

// Relocated is metadata for another place, with the current snapshot alone, whose manifest list is given. All else stays: the
// table's UUID, schemas, properties, sequence numbers, ids and times.
func Relocated(m table.Metadata, location, list string) (table.Metadata, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	set := map[string]any{"location": location, "metadata-log": []any{}, "snapshot-log": []any{}, "snapshots": []any{}}
	for _, gone := range []string{"statistics", "partition-statistics"} { // files of snapshots, which Firth does not write
		delete(fields, gone)
	}
	if current := m.CurrentSnapshot(); current != nil {
		var all []map[string]json.RawMessage
		if err := json.Unmarshal(fields["snapshots"], &all); err != nil {
			return nil, fmt.Errorf("decode snapshots: %w", err)
		}
		for _, s := range all {
			if string(s["snapshot-id"]) == fmt.Sprint(current.SnapshotID) {
				if s["manifest-list"], err = json.Marshal(list); err != nil {
					return nil, fmt.Errorf("encode metadata: %w", err)
				}
				set["snapshots"] = []any{s}
			}
		}
		set["snapshot-log"] = []any{map[string]int64{"snapshot-id": current.SnapshotID, "timestamp-ms": current.TimestampMs}}
		set["refs"] = map[string]any{"main": map[string]any{"snapshot-id": current.SnapshotID, "type": "branch"}}
	}
	for key, value := range set {
		if fields[key], err = json.Marshal(value); err != nil {
			return nil, fmt.Errorf("encode metadata: %w", err)
		}
	}
	if text, err = json.Marshal(fields); err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	out, err := table.ParseMetadataBytes(text)
	if err != nil {
		return nil, fmt.Errorf("metadata for the new place: %w", err)
	}
	return out, nil
}
