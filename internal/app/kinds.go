package app

import (
	"context"

	"firth/internal/config"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/postgres"
	"firth/internal/warehouse/redshift"
)

// serverKinds are the kinds of warehouses that are servers, by type.
func serverKinds() map[string]serverKind {
	return map[string]serverKind{
		config.Iceberg: (&lakeTables{}).kind(),
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
			check: func(ctx context.Context, r *remote) []warehouse.Finding {
				return mysql.Check(ctx, string(r.URL), r.mysql(), r.schemas)
			},
			setup: func(r *remote) (string, error) { return mysql.Setup(string(r.URL), r.schemas) },
		},
		config.Redshift: {
			rules: name.Redshift,
			open: func(ctx context.Context, r *remote) (load.Warehouse, error) {
				return opened(redshift.Open(ctx, string(r.URL), r.redshift()))
			},
			check: func(ctx context.Context, r *remote) []warehouse.Finding {
				return redshift.Check(ctx, string(r.URL), r.redshift(), r.schemas)
			},
			setup: func(r *remote) (string, error) {
				return redshift.SetupStaged(string(r.URL), string(r.Staging), r.schemas)
			},
		},
	}
}

func (r *remote) postgres() postgres.Options {
	return postgres.Options{Name: r.name, AccessMethod: r.AccessMethod, CA: r.CA, Log: r.log}
}

func (r *remote) mysql() mysql.Options { return mysql.Options{Name: r.name, CA: r.CA, Log: r.log} }

func (r *remote) redshift() redshift.Options {
	return redshift.Options{Name: r.name, Staging: string(r.Staging), IAMRole: r.IAMRole, CA: r.CA, Log: r.log}
}

// opened keeps a nil pointer from being a warehouse.
func opened[W load.Warehouse](w W, err error) (load.Warehouse, error) {
	if err != nil {
		return nil, err
	}
	return w, nil
}
