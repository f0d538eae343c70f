package app

import (
	"context"
	"errors"
	"fmt"

	"firth/internal/config"
	"firth/internal/disk"
	objects "firth/internal/disk/remote"
	"firth/internal/lake"
	"firth/internal/lake/catalog"
	"firth/internal/object"
)

// lakePlace is where the lake of a data folder is, open for the life of a process or a command.
type lakePlace struct {
	lake.Place
	store *object.Store // nil: the lake is on local disk
	// close gives up what was opened.
	close func() error
}

// remoteFS is the file system of a lake at an object store; nil: the lake is on local disk.
func (p *lakePlace) remoteFS() *objects.FS {
	fs, _ := p.FS.(*objects.FS) //nolint:errcheck // another one is on local disk
	return fs
}

// openPlace finds the lake of a configuration. The error may carry a hint. Nothing is asked of an object store yet.
func openPlace(ctx context.Context, cfg *config.Config, dir folders) (*lakePlace, error) {
	at, err := cfg.LakeDir()
	if err != nil {
		return nil, fmt.Errorf("find lake folder: %w", err)
	}
	p := &lakePlace{
		Place: lake.Place{Catalog: dir.catalog(), Server: catalogServer(cfg), Dir: at, FS: disk.OS{}},
		close: func() error { return nil },
	}
	address := cfg.LakeStore()
	if address == "" {
		return p, nil
	}
	parsed, err := object.Parse(address)
	if err != nil {
		return nil, hint(fmt.Errorf("lake.url: %w", err), "write it as s3://BUCKET/PREFIX?region=eu-central-1")
	}
	store, err := object.Open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("lake.url: %w", err)
	}
	fs, err := objects.Open(objects.Options{Store: store, Dir: at, Bytes: int64(cfg.Lake.Cache.Bytes), Check: lake.NewCheck})
	if err != nil {
		return nil, hint(fmt.Errorf("open the lake's cache: %w", err), "the folder of lake.cache.dir: must be writable")
	}
	p.URL, p.FS, p.store, p.close = parsed.Location(), fs, store, fs.Close
	return p, nil
}

// openLakeReader opens the lake of a configuration for reading. Closing the reader gives up the place too.
func openLakeReader(ctx context.Context, cfg *config.Config, dir folders) (*lake.Reader, error) {
	place, err := openPlace(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	return place.reader(ctx)
}

// reader opens the lake for reading, and is responsible for the place from then on.
func (p *lakePlace) reader(ctx context.Context) (*lake.Reader, error) {
	at := p.Place
	at.Done = p.close
	reader, err := lake.OpenReaderAt(ctx, at)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return reader, nil
}

// catalogServer is where the lake's tables are registered, if not in the data folder.
func catalogServer(cfg *config.Config) catalog.Server {
	c := cfg.Lake.Catalog
	if c.Type == config.CatalogSQLite {
		return catalog.Server{}
	}
	return catalog.Server{Kind: c.Type, URL: string(c.URL), Warehouse: c.Warehouse, Token: string(c.Token), Credential: string(c.Credential)}
}
