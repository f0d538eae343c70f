package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/config"
	"firth/internal/lake"
	"firth/internal/lake/catalog"
	"firth/internal/load"
	"firth/internal/mirror"
	"firth/internal/name"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/iceberg"
)

// lakeTables is the warehouse whose tables lie in the lake, opened when it is needed first and shared by all that writes to it in this
// process: it has one committer. It is safe for use by several goroutines.
type lakeTables struct {
	mu    sync.Mutex
	open  *iceberg.DB
	close func() error
	users int

	place atomic.Pointer[lakePlace] // where it is, while it is open
}

// figures are the numbers of the place of the warehouse; nil while nobody has it open. It does not wait for a catalog or a store that is
// slow to open: who asks must learn within seconds that this process is well.
func (l *lakeTables) figures() *storeFigures {
	if l == nil {
		return nil
	}
	return l.place.Load().figures()
}

// tablesFolder is where its tables are, below the folder of the lake.
const tablesFolder = "_tables"

// kind is how typed tables are loaded into it.
func (l *lakeTables) kind() serverKind {
	return serverKind{
		rules: name.DuckDB,
		open: func(ctx context.Context, r *remote) (load.Warehouse, error) {
			return opened(l.get(ctx, r))
		},
		check: checkLakeTables,
		setup: func(*remote) (string, error) {
			return "-- nothing: whoever may write the lake may write its tables\n", nil
		},
	}
}

// target is how mirrors go into it.
func (l *lakeTables) target(ctx context.Context, r *remote) (mirror.Target, io.Closer, error) {
	u, err := l.get(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	m := u.Mirrors()
	return mirror.Adapt(m), closing(func() error { return errors.Join(m.Close(), u.Close()) }), nil
}

// shared lets kinds of both sorts use one warehouse.
func (l *lakeTables) shared(servers map[string]serverKind, mirrors mirrorKinds) (map[string]serverKind, mirrorKinds) {
	servers[config.Iceberg], mirrors.targets[config.Iceberg] = l.kind(), l.target
	return servers, mirrors
}

// lakeUser is the warehouse as one of those has it that share it.
type lakeUser struct {
	*iceberg.DB
	done func() error
}

// Close gives the warehouse up; the last one closes it.
func (u *lakeUser) Close() error { return u.done() }

type closing func() error

// Close implements io.Closer.
func (c closing) Close() error { return c() }

func (l *lakeTables) get(ctx context.Context, r *remote) (*lakeUser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 {
		open, place, done, err := openLakeTables(ctx, r)
		if err != nil {
			return nil, err
		}
		l.open, l.close = open, done
		l.place.Store(place)
	}
	l.users++
	return &lakeUser{l.open, sync.OnceValue(l.giveUp)}, nil
}

func (l *lakeTables) giveUp() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users > 0 {
		return nil
	}
	l.place.Store(nil)
	return errors.Join(l.open.Close(), l.close())
}

// workshopShare is which part of query.memory one workshop may take: a load, a publication and what is staged have one each.
const workshopShare = 4

// leastWorkshop is what a workshop has in any case, in bytes.
const leastWorkshop = 96 << 20

// openLakeTables opens the warehouse in the lake of a configuration, for reading and writing.
func openLakeTables(ctx context.Context, r *remote) (*iceberg.DB, *lakePlace, func() error, error) {
	dir, err := r.folders()
	if err != nil {
		return nil, nil, nil, err
	}
	place, err := openPlace(ctx, r.cfg, dir)
	if err != nil {
		return nil, nil, nil, err
	}
	c, files, err := openLakeCatalog(ctx, place, false)
	if err != nil {
		return nil, nil, nil, errors.Join(lakeHint(fmt.Errorf("open the catalog of the lake: %w", err)), place.close())
	}
	done := func() error { return errors.Join(c.Close(), place.close()) }
	stages, temp := filepath.Join(dir.root, "stages"), dir.warehouseTemp(r.name)
	if err := ensureFolders(stages, temp); err != nil {
		return nil, nil, nil, errors.Join(hint(err, "the folder %s must be writable", dir.root), done())
	}
	db, err := iceberg.Open(ctx, iceberg.Options{
		Name: r.name, Catalog: c, IO: files, Stages: stages, Grace: time.Duration(r.cfg.Lake.Grace), Orphans: time.Duration(r.cfg.Lake.Orphans), Log: r.log,
		Workshop: func(ctx context.Context) (*duckdb.Workshop, error) {
			memory := max(int64(r.cfg.Query.Memory)/workshopShare, leastWorkshop)
			return duckdb.OpenWorkshop(ctx, duckdb.WorkshopOptions{Memory: memory, TempDir: temp, Dirs: []string{place.Dir, stages}})
		},
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, done())
	}
	return db, place, done, nil
}

// openLakeCatalog opens the catalog of the lake, and the access to the files of warehouses in it.
func openLakeCatalog(ctx context.Context, place *lakePlace, readOnly bool) (*catalog.Catalog, *catalog.FileIO, error) {
	if err := ensureFolders(place.Dir); err != nil {
		return nil, nil, err
	}
	all, err := catalog.NewFileIOAt(place.FS, place.Dir, place.URL)
	if err != nil {
		return nil, nil, err
	}
	tables, err := all.Below(tablesFolder)
	if err != nil {
		return nil, nil, err
	}
	c, err := catalog.Open(ctx, catalog.Options{
		Path: place.Catalog, Server: place.Server, Name: lake.CatalogName, Namespace: lake.Namespace, IO: all, ReadOnly: readOnly,
	})
	return c, tables, err
}

// folders are those of the data folder that the configuration names.
func (r *remote) folders() (folders, error) {
	dir, err := r.cfg.DataDir()
	if err != nil {
		return folders{}, fmt.Errorf("find data folder: %w", err)
	}
	return folders{dir}, nil
}

// checkLakeTables looks at the tables in the lake, and changes nothing.
func checkLakeTables(ctx context.Context, r *remote) []warehouse.Finding {
	bad := func(err error) []warehouse.Finding {
		return []warehouse.Finding{{What: "tables", Found: err.Error(), Hint: hintOf(err)}}
	}
	dir, err := r.folders()
	if err != nil {
		return bad(err)
	}
	place, err := openPlace(ctx, r.cfg, dir)
	if err != nil {
		return bad(err)
	}
	defer place.close() //nolint:errcheck // what was found is told
	at := place.Dir
	if place.URL != "" {
		at = place.URL
	}
	at += "/" + tablesFolder
	c, _, err := openLakeCatalog(ctx, place, true)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist) {
		return []warehouse.Finding{{What: "tables", OK: true, Found: "none yet; they come to " + at}}
	}
	if err != nil {
		return bad(lakeHint(err))
	}
	defer c.Close() //nolint:errcheck // it was read only
	found := warehouse.Finding{What: "tables", OK: true}
	schemas, tables := 0, 0
	namespaces, err := c.Namespaces(ctx)
	if err != nil {
		return bad(lakeHint(err))
	}
	for _, n := range namespaces {
		if n == lake.Namespace {
			continue
		}
		s, err := c.Space(ctx, n, c.IO(), 0)
		if err != nil {
			return bad(lakeHint(err))
		}
		names, err := s.Tables(ctx)
		if err != nil {
			return bad(lakeHint(err))
		}
		schemas, tables = schemas+1, tables+len(names)
		for name := range names {
			if _, err := s.Load(ctx, name); err != nil {
				return bad(hint(fmt.Errorf("table %s.%s: %w", n, name, err), "put the file back from a backup, or drop the table: firth load --rebuild, or firth sync --full, makes it again"))
			}
		}
	}
	found.Found = fmt.Sprintf("%s in %s at %s", counted(tables, "table"), counted(schemas, "schema"), at)
	return []warehouse.Finding{found}
}
