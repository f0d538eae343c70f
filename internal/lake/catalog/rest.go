package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	icecatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
)

// remote is an Iceberg REST catalog (the open API of Apache Iceberg). Commits go to it first; what it answers is then copied into the SQLite
// file, from which everything of this machine reads, so that a look at a table costs no request. A table of Firth has one committer, so
// the copy is behind only where a commit's answer was lost: then the table is asked for again before it is used.
type remote struct {
	catalog *rest.Catalog

	mu    sync.Mutex
	stale map[string]bool // by namespace and table
}

func openREST(ctx context.Context, s Server) (*remote, error) {
	var opts []rest.Option
	if s.Warehouse != "" {
		opts = append(opts, rest.WithWarehouseLocation(s.Warehouse))
	}
	if s.Token != "" {
		opts = append(opts, rest.WithOAuthToken(s.Token))
	}
	if s.Credential != "" {
		opts = append(opts, rest.WithCredential(s.Credential))
	}
	c, err := rest.NewCatalog(ctx, CatalogOfREST, s.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the REST catalog: %w", s.hidden(err))
	}
	return &remote{catalog: c, stale: map[string]bool{}}, nil
}

// CatalogOfREST is what a REST catalog is called on this side; it knows no names of its own.
const CatalogOfREST = "firth"

func (s Server) hidden(err error) error {
	for _, secret := range []string{s.Token, s.Credential} {
		if secret != "" {
			err = without(err, secret)
		}
	}
	return hidden(err, s.URL)
}

// ident names a table of the namespace.
func (c *Catalog) ident(name string) table.Identifier { return table.Identifier{c.namespace, name} }

func (r *remote) doubt(namespace, name string, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.stale[namespace+"\x00"+name] = true
	} else {
		delete(r.stale, namespace+"\x00"+name)
	}
}

func (r *remote) doubted(namespace, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale[namespace+"\x00"+name]
}

// takeOver copies what a REST catalog says of the namespace, which is made there where it is missing.
func (c *Catalog) takeOver(ctx context.Context) error {
	if c.rest == nil {
		return nil
	}
	there, err := c.rest.catalog.CheckNamespaceExists(ctx, table.Identifier{c.namespace})
	if err == nil && !there {
		err = c.rest.catalog.CreateNamespace(ctx, table.Identifier{c.namespace}, nil)
	}
	if err != nil && !errors.Is(err, icecatalog.ErrNamespaceAlreadyExists) {
		return fmt.Errorf("REST catalog: namespace %s: %w", c.namespace, err)
	}
	known, err := c.reg.tables(ctx, c.namespace)
	if err != nil {
		return err
	}
	for ident, err := range c.rest.catalog.ListTables(ctx, table.Identifier{c.namespace}) {
		if err != nil {
			return fmt.Errorf("REST catalog: list tables of %s: %w", c.namespace, err)
		}
		name := ident[len(ident)-1]
		if err := c.copyRemote(ctx, name); err != nil {
			return err
		}
		delete(known, name)
	}
	for name := range known {
		if err := c.reg.drop(ctx, c.namespace, name); err != nil {
			return fmt.Errorf("forget table %s, which the REST catalog does not have: %w", name, err)
		}
	}
	return nil
}

// copyRemote asks for a table and writes down what the answer is.
func (c *Catalog) copyRemote(ctx context.Context, name string) error {
	t, err := c.rest.catalog.LoadTable(ctx, c.ident(name))
	if errors.Is(err, icecatalog.ErrNoSuchTable) {
		c.forget(name)
		c.rest.doubt(c.namespace, name, false)
		return c.reg.drop(ctx, c.namespace, name)
	}
	if err != nil {
		return fmt.Errorf("REST catalog: load table %s: %w", name, err)
	}
	return c.noteRemote(ctx, name, t.MetadataLocation(), t.Metadata())
}

func (c *Catalog) noteRemote(ctx context.Context, name, location string, metadata table.Metadata) error {
	if _, err := c.io.Path(metadata.Location()); err != nil {
		return fmt.Errorf("REST catalog: table %s: %w; Firth keeps its tables below lake.url: let the catalog take the location that a table is made with", name, err)
	}
	c.rest.doubt(c.namespace, name, true)
	if err := c.reg.put(ctx, c.namespace, name, location); err != nil {
		return fmt.Errorf("note table %s of the REST catalog: %w", name, err)
	}
	c.remember(name, location, metadata)
	c.rest.doubt(c.namespace, name, false)
	return nil
}

// renew asks the REST catalog for a table whose copy may be behind.
func (c *Catalog) renew(ctx context.Context, name string) error {
	if c.rest == nil || !c.rest.doubted(c.namespace, name) {
		return nil
	}
	return c.copyRemote(ctx, name)
}

func (c *Catalog) createRemote(ctx context.Context, name, location string, s Spec) error {
	t, err := c.rest.catalog.CreateTable(ctx, c.ident(name), s.Schema, icecatalog.WithLocation(location), icecatalog.WithPartitionSpec(&s.Partitions),
		icecatalog.WithSortOrder(s.Order), icecatalog.WithProperties(s.Properties))
	if errors.Is(err, icecatalog.ErrTableAlreadyExists) {
		return c.copyRemote(ctx, name)
	}
	if err != nil {
		c.rest.doubt(c.namespace, name, true)
		return fmt.Errorf("REST catalog: %w", err)
	}
	if err := c.noteRemote(ctx, name, t.MetadataLocation(), t.Metadata()); err != nil {
		return err
	}
	for i, f := range t.Schema().Fields() {
		// Files name columns by these numbers, and a catalog may give its own to a new table.
		if want := s.Schema.Field(i); f.ID != want.ID || f.Name != want.Name {
			return fmt.Errorf("REST catalog: it gave column %s the id %d and not %d", want.Name, f.ID, want.ID)
		}
	}
	return nil
}

// commitRemote is [Catalog.CommitTable] at a REST catalog.
func (c *Catalog) commitRemote(ctx context.Context, t *table.Table, reqs []table.Requirement, updates []table.Update, at int64) (table.Metadata, string, error) {
	name := t.Identifier()[len(t.Identifier())-1]
	updates, err := timed(t.Metadata(), updates, at, c.keep)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	if err := c.step("catalog row " + name); err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	if err := c.io.Settle(); err != nil {
		return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	c.rest.doubt(c.namespace, name, true)
	metadata, location, err := c.rest.catalog.CommitTable(ctx, t.Identifier(), append(reqs, table.AssertTableUUID(t.Metadata().TableUUID())), updates)
	if err != nil {
		return nil, "", fmt.Errorf("REST catalog: commit table %s: %w", name, err)
	}
	if err := c.noteRemote(ctx, name, location, metadata); err != nil {
		return nil, "", err
	}
	return metadata, location, nil
}

// exchangeAll carries out the changes of [Catalog.CommitAll]. A REST catalog makes those to what tables hold at once where it knows
// transactions, and otherwise one after the other, and drops and renames afterwards.
func (c *Catalog) exchangeAll(ctx context.Context, rows []row) error {
	if c.rest == nil {
		return c.reg.exchange(ctx, c.namespace, rows)
	}
	if err := c.io.Settle(); err != nil {
		return fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	var commits []table.TableCommit
	for _, r := range rows {
		c.rest.doubt(c.namespace, r.Table, true)
		if len(r.updates) > 0 {
			reqs := append([]table.Requirement{table.AssertTableUUID(r.metadata.TableUUID())}, r.Requirements...)
			commits = append(commits, table.TableCommit{Identifier: c.ident(r.Table), Requirements: reqs, Updates: r.updates})
		}
	}
	if len(commits) > 1 {
		err := c.rest.catalog.CommitTransaction(ctx, commits)
		if err == nil {
			commits = nil
		} else if !errors.Is(err, rest.ErrEndpointNotSupported) {
			return err
		}
	}
	for _, w := range commits {
		if _, _, err := c.rest.catalog.CommitTable(ctx, w.Identifier, w.Requirements, w.Updates); err != nil {
			return err
		}
	}
	return c.nameRemote(ctx, rows)
}

func (c *Catalog) nameRemote(ctx context.Context, rows []row) error {
	for _, r := range rows {
		var err error
		switch {
		case r.Drop:
			err = c.rest.catalog.DropTable(ctx, c.ident(r.Table))
		case r.Rename != "":
			if err = c.rest.catalog.DropTable(ctx, c.ident(r.Rename)); errors.Is(err, icecatalog.ErrNoSuchTable) {
				err = nil
			}
			if err == nil {
				_, err = c.rest.catalog.RenameTable(ctx, c.ident(r.Table), c.ident(r.Rename))
			}
			c.rest.doubt(c.namespace, r.Rename, true)
		}
		if err != nil {
			return fmt.Errorf("REST catalog: table %s: %w", r.Table, err)
		}
		for _, name := range []string{r.Table, r.Rename} {
			if name == "" {
				continue
			}
			if err := c.copyRemote(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
