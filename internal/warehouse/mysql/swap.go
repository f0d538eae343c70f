package mysql

import "context"

func (d *DB) finishSwaps(ctx context.Context, s session) error { return nil }
