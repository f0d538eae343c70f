package load

import (
	"context"

	"firth/internal/warehouse"
)

// kept is the connection of an earlier run that a run begins with. The server may have closed it meanwhile, which shows only when it is
// used: such a run connects anew and tries again at once, one time.
type kept struct {
	l    *Loader
	from Warehouse // nil: there is none, or it was replaced
}

// kept is what a run that begins now finds. The gate is held.
func (l *Loader) kept() *kept {
	k := &kept{l: l}
	if l.connect != nil {
		k.from = l.o.Warehouse
	}
	return k
}

// renewed reports whether a run that failed is to be tried again at once since it failed over the kept connection, which is closed then.
func (k *kept) renewed(ctx context.Context, err error) bool {
	if k.from == nil || warehouse.KindOf(err) != warehouse.Down || k.l.lock(ctx) != nil {
		return false
	}
	defer k.l.unlock()
	if k.l.o.Warehouse == k.from { // else another run was quicker
		k.l.disconnect()
	}
	k.from = nil
	return true
}
