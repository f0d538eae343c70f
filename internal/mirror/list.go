package mirror

import "context"

// List reads the ids that should exist and publishes them; rows of ids that are gone are deleted, within MaxDelete.
func (m *Mirror) List(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return m.do(ctx, "list", o, progress, func(context.Context, *run) error { return errNotYet })
}
