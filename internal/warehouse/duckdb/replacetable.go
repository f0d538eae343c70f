package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Replace makes a table hold the rows of the batch and nothing else, in one transaction: readers see the old table or the new
// one. It is in the file when Replace returns. The schema must be none of a source's: loads do not know of the table.
func (d *DB) Replace(ctx context.Context, schema string, t *table.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(reserved, strings.ToLower(schema)) || schema == "" {
		return &warehouse.Error{Op: "replace", Object: schema + "." + t.Name, Kind: warehouse.BadName,
			Err: fmt.Errorf("the schema %q is taken", schema), Hint: "choose another schema"}
	}
	statement, err := createTable(schema, t.Name, t.Columns)
	if err != nil {
		return err
	}
	l := &loading{db: d, batch: &warehouse.Batch{Source: schema, Schema: schema}, now: d.now().UTC().Truncate(time.Microsecond), result: &warehouse.Result{Rows: map[string]int64{}}}
	err = d.inTx(ctx, func() error {
		for _, s := range []string{createSchema(schema), "DROP TABLE IF EXISTS " + qualified(schema, t.Name), statement} {
			if err := d.exec(ctx, s); err != nil {
				return err
			}
		}
		return l.appendBatch(ctx, t)
	})
	if err != nil {
		return d.fail("replace", schema+"."+t.Name, err)
	}
	return d.checkpoint(ctx)
}
