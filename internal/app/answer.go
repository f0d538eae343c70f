package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"firth/internal/config"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/query"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// answer is the open warehouse with what works on it. One process at a time has it.
type answer struct {
	place  *lakePlace
	reader *lake.Reader
	db     *duckdb.DB
	loader *load.Loader
	engine *query.Engine
	tables *derivedTables
	pace   loadPace
}

// answerParts are what the server has beside the embedded warehouse; a command has neither.
type answerParts struct {
	told   func(warehouse.Run)          // gets every run that has ended
	others func() []warehouse.Freshness // of the warehouses that are servers
	tables *lakeTables                  // that warehouses in the lake share
}

// openAnswer opens lake and warehouse. The error may carry a hint.
func openAnswer(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, parts answerParts) (*answer, error) {
	place, err := openPlace(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	if err := ensureFolders(dir.temp(), place.Dir); err != nil {
		return nil, errors.Join(err, place.close())
	}
	reader, err := place.reader(ctx)
	if err != nil {
		return nil, lakeHint(fmt.Errorf("open lake: %w", err))
	}
	db, err := duckdb.Open(ctx, dir.warehouse(), duckdb.Options{Memory: int64(cfg.Query.Memory), LakeDir: place.Dir, TempDir: dir.temp()})
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	rules := name.DuckDB()
	var history load.History = db
	if parts.told != nil {
		history = toldHistory{db, parts.told}
	}
	local := cfg.Warehouses[config.Local]
	lakes, views := newLakeSQL(reader, place, int64(cfg.Lake.Cache.Bytes), db)
	a := &answer{place: place, reader: reader, db: db}
	a.tables = newDerived(cfg, dir, log, a, parts.tables, history)
	lakes.tables = a.tables
	a.loader = load.New(load.Options{
		Name: config.Local, Lake: reader, Warehouse: db, Views: a.tables.over(views), History: history, Rules: rules, Standard: event.Standard(rules),
		NewShaper: load.Segment(rules, event.ShapeOptions{}), NewSurvey: load.Survey(rules, event.ShapeOptions{}), TempDir: dir.temp(), Log: log,
		Selection: selection(&local), Others: parts.others, LakeOnly: local.Off,
	})
	a.engine = query.New(db, query.Options{
		Deadline: time.Duration(cfg.Query.Deadline), MaxRows: cfg.Query.Rows, Concurrent: cfg.Query.Concurrency, Lakes: lakes,
		Derived: derivedSources(cfg), Log: log,
	})
	return a, nil
}

func (a *answer) close() error { return errors.Join(a.tables.close(), a.db.Close(), a.reader.Close()) }
