package app

import (
	"context"
	"fmt"

	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/lake"
)

// lakePlace is where the lake of a data folder is, open for the life of a process or a command.
type lakePlace struct {
	lake.Place
	// close gives up what was opened.
	close func() error
}

// openPlace finds the lake of a configuration. The error may carry a hint.
func openPlace(_ context.Context, cfg *config.Config, dir folders) (*lakePlace, error) {
	at, err := cfg.LakeDir()
	if err != nil {
		return nil, fmt.Errorf("find lake folder: %w", err)
	}
	return &lakePlace{
		Place: lake.Place{Catalog: dir.catalog(), Dir: at, FS: disk.OS{}},
		close: func() error { return nil },
	}, nil
}
