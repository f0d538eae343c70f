package mirror

import (
	"context"
	"errors"
)

var errNotYet = errors.New("this half is not there")

// Get asks for the columns of the ids of the last list, those that waited longest first; with RunOptions.IDs for those alone.
func (m *Mirror) Get(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return m.do(ctx, "get", o, progress, func(context.Context, *run) error { return errNotYet })
}
