package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"firth/internal/config"
	"firth/internal/derive"
	"firth/internal/lake"
	"firth/internal/warehouse/duckdb"
)

// checkDerived tries the statements of the derived tables on made events, and on some of the source's where it has any, and says how each
// table is kept. Nothing is written into the lake.
func checkDerived(ctx context.Context, cfg *config.Config) []Finding {
	specs := derivedSpecs(cfg)
	if len(specs) == 0 {
		return nil
	}
	out, err := tryDerived(ctx, cfg, specs)
	if err != nil {
		out = append(out, Finding{What: "derived tables", Found: err.Error(), Hint: hintOf(lakeHint(err))})
	}
	return out
}

func tryDerived(ctx context.Context, cfg *config.Config, specs []derive.Spec) (out []Finding, err error) {
	root, err := cfg.DataDir()
	if err != nil {
		return nil, err
	}
	dir := folders{root}
	temp, err := os.MkdirTemp("", "firth-check-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	place, err := openPlace(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, place.close()) }()
	var reader *lake.Reader
	if _, serr := os.Stat(dir.catalog()); serr == nil || cfg.Lake.Catalog.Type != config.CatalogSQLite {
		if reader, err = lake.OpenReaderAt(ctx, place.Place); err != nil {
			reader = nil // what is wrong with the lake, other findings tell
		} else {
			defer func() { err = errors.Join(err, reader.Close()) }()
		}
	}
	shop, err := duckdb.OpenWorkshop(ctx, duckdb.WorkshopOptions{Memory: leastWorkshop, TempDir: temp, Dirs: []string{place.Dir}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	for _, s := range specs {
		f := Finding{What: "lake." + s.Name}
		plan, err := tryOne(ctx, shop, place, reader, s)
		var fault *derive.Fault
		switch {
		case errors.As(err, &fault):
			f.Found, f.Hint = fault.Text, fault.Hint
		case err != nil:
			f.Found, f.Hint = err.Error(), hintOf(err)
		default:
			f.OK, f.Found = true, fmt.Sprintf("of %s, %s, kept %s", s.From, counted(len(plan.Columns), "column"), plan.Mode)
			if plan.Why != "" {
				f.Found += ": " + plan.Why
			}
		}
		out = append(out, f)
	}
	return out, nil
}

func tryOne(ctx context.Context, shop *duckdb.Workshop, place *lakePlace, reader *lake.Reader, s derive.Spec) (*derive.Plan, error) {
	whole, err := judge(ctx, shop.Conn(), &s)
	if err != nil {
		return nil, err
	}
	plan, err := derive.Check(ctx, shop, s, "")
	if err != nil {
		return nil, err
	}
	if whole != "" {
		plan.Mode, plan.Why = derive.Whole, whole
	}
	if reader == nil {
		return plan, nil
	}
	snap, err := reader.Snapshot(ctx, s.From)
	if errors.Is(err, lake.ErrNoTable) || err == nil && snap.Rows == 0 {
		return plan, nil
	}
	if err != nil {
		return nil, err
	}
	events, release, err := eventsOf(ctx, place.FS, derive.Some(snap).Files)
	if err != nil {
		return nil, err
	}
	defer release()
	found, err := derive.Check(ctx, shop, s, events)
	if err == nil && plan.Mode == derive.Incremental {
		plan.Mode, plan.Why = found.Mode, found.Why
	}
	return plan, err
}
