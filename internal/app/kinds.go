package app

import (
	"context"

	"firth/internal/config"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/postgres"
)

// serverKinds are the kinds of warehouses that are servers, by type.
func serverKinds() map[string]serverKind {
	return map[string]serverKind{
		config.Postgres: {
			rules: name.Postgres,
			open: func(ctx context.Context, r *remote) (load.Warehouse, error) {
				return opened(postgres.Open(ctx, string(r.URL), r.postgres()))
			},
			check: func(ctx context.Context, r *remote) []warehouse.Finding {
				return postgres.Check(ctx, string(r.URL), r.postgres(), r.schemas)
			},
			setup: func(r *remote) (string, error) { return postgres.Setup(string(r.URL), r.schemas) },
		},
		config.MySQL: {
			rules: name.MySQL,
			open: func(ctx context.Context, r *remote) (load.Warehouse, error) {
				return opened(mysql.Open(ctx, string(r.URL), r.mysql()))
			},
		},
	}
}

func (r *remote) postgres() postgres.Options {
	return postgres.Options{Name: r.name, AccessMethod: r.AccessMethod, CA: r.CA, Log: r.log}
}

func (r *remote) mysql() mysql.Options { return mysql.Options{Name: r.name, CA: r.CA, Log: r.log} }

// opened keeps a nil pointer from being a warehouse.
func opened[W load.Warehouse](w W, err error) (load.Warehouse, error) {
	if err != nil {
		return nil, err
	}
	return w, nil
}
