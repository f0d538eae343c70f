package app

import (
	"context"
	"io"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/exec"
	"firth/internal/source/http"
	"firth/internal/source/mongo"
	"firth/internal/source/mysql"
	"firth/internal/source/postgres"
	"firth/internal/source/redis"
	"firth/internal/source/sqlite"
	"firth/internal/warehouse/duckdb"
	mywarehouse "firth/internal/warehouse/mysql"
	pgwarehouse "firth/internal/warehouse/postgres"
)

// mirrorKinds are what this build can read and write by mirrors.
type mirrorKinds struct {
	sources map[string]sourceKind
	targets map[string]targetKind
}

func newMirrorKinds() mirrorKinds { return mirrorKinds{sourceKinds(), targetKinds()} }

// sourceKinds are the kinds of things that mirrors read, by type.
func sourceKinds() map[string]sourceKind {
	return map[string]sourceKind{
		config.MongoDB:  {open: opening(mongo.Open), check: mongo.Check},
		config.Redis:    {open: opening(redis.Open), check: redis.Check},
		config.Postgres: {open: opening(postgres.Open), check: postgres.Check},
		config.MySQL:    {open: opening(mysql.Open), check: mysql.Check},
		config.SQLite:   {open: opening(sqlite.Open), check: sqlite.Check},
		config.Exec:     {open: opening(exec.Open)},
		config.HTTP:     {open: opening(http.Open)},
	}
}

// targetKinds are the warehouses that are servers and take mirrors, by type.
func targetKinds() map[string]targetKind {
	return map[string]targetKind{
		config.Iceberg: (&lakeTables{}).target,
		config.Postgres: func(ctx context.Context, r *remote) (mirror.Target, io.Closer, error) {
			m, err := pgwarehouse.OpenMirrors(ctx, string(r.URL), r.postgres())
			if err != nil {
				return nil, nil, err
			}
			return mirror.Adapt(m), m, nil
		},
		config.MySQL: func(ctx context.Context, r *remote) (mirror.Target, io.Closer, error) {
			m, err := mywarehouse.OpenMirrors(ctx, string(r.URL), r.mysql())
			if err != nil {
				return nil, nil, err
			}
			return mirror.Adapt(m), m, nil
		},
	}
}

// opening keeps a nil pointer from being a source.
func opening[S mirror.Source](open func(context.Context, string, source.Spec, source.Options) (S, error)) func(context.Context, string, source.Spec, source.Options) (mirror.Source, error) {
	return func(ctx context.Context, url string, spec source.Spec, o source.Options) (mirror.Source, error) {
		s, err := open(ctx, url, spec, o)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// embeddedTarget is the embedded warehouse as it takes mirrors.
func embeddedTarget(db *duckdb.DB) mirror.Target { return mirror.Adapt(db.Mirrors()) }
