package mirror

import "context"

type rawCopy struct{}

func (c *copying) raw(context.Context) (*rawCopy, bool, error) { return nil, false, nil }
func (r *rawCopy) run(context.Context) error                   { return nil }
