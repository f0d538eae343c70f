package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apache/iceberg-go/table"
)

// CommitTable implements the library's catalog: it applies updates to a table that meets the requirements, at a time of the
// catalog's clock that is later than the table's last one, and leaves out the oldest snapshots. An error that
// is not table.ErrCommitFailed leaves open whether the commit took place: load the table and see, and see [Catalog.Confirm].
func (c *Catalog) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	current, err := c.LoadTable(ctx, ident)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	name := ident[len(ident)-1]
	for _, r := range reqs {
		if err := r.Validate(current.Metadata()); err != nil {
			return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	at := after(current.Metadata(), c.now().UnixMilli())
	if c.rest != nil {
		return c.commitRemote(ctx, current, reqs, updates, at)
	}
	metadata, err := apply(current.Metadata(), updates, current.MetadataLocation(), at, c.keep)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	n, err := number(current.MetadataLocation())
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	location, err := c.write(metadata, n+1)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	if err := c.step("catalog row " + name); err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	r := row{Change: Change{Table: name}, from: current.MetadataLocation(), to: location}
	if err := c.reg.exchange(ctx, c.namespace, []row{r}); err != nil {
		return nil, "", fmt.Errorf("commit table %s: %w", name, err)
	}
	c.remember(name, location, metadata)
	return metadata, location, nil
}

// Confirm makes sure that what the catalog shows is on disk. It is for commits whose outcome was unknown: after a failed
// sync a row may be seen that a power cut would take back. So the write-ahead log is moved into the database, which is
// written and synced anew, and the empty log is synced.
func (c *Catalog) Confirm(ctx context.Context) error {
	if c.reg.db != c.db {
		return nil // a server's rows are durable when they are seen
	}
	var busy, log, moved int
	if err := c.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
		return fmt.Errorf("sync catalog: %w", err)
	}
	if busy != 0 {
		return errors.New("sync catalog: a reader holds it back")
	}
	f, err := os.OpenFile(c.path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sync catalog: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}
