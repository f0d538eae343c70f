package mirror

import (
	"context"
	"fmt"
	"time"
)

// pause waits before what failed is tried again, and says so meanwhile; false: the context has ended. A run that fails in the end says
// the same only once, as its error.
func (r *run) pause(ctx context.Context, try int, err error) bool {
	wait := time.Second << (2 * (try - 1))
	r.enter(fmt.Sprintf("failed, is tried again in %s: %v", wait, err), -1)
	if r.m.o.Wait(ctx, wait) != nil {
		return false
	}
	r.notice("tried again after: %v", err)
	return true
}
