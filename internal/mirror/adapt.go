package mirror

import (
	"context"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Stager is a warehouse that takes mirrors and hands out stages of a type of its own.
type Stager[S Stage] interface {
	Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error)
	Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (S, error)
	IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error)
}

// Adapt makes a Target of it.
func Adapt[S Stage](s Stager[S]) Target { return adapted[S]{s} }

type adapted[S Stage] struct{ Stager[S] }

func (a adapted[S]) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (Stage, error) {
	s, err := a.Stager.Stage(ctx, t, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}
