package load

import "context"

func (d *doing) replay(ctx context.Context, name string) error  { return cannot("replay", d.l.o.Name) }
func (d *doing) rebuild(ctx context.Context, name string) error { return cannot("rebuild", d.l.o.Name) }
