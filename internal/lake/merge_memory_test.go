package lake

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// watchHeap notes the highest number of bytes that live objects and garbage took, above what is there at the start.
func watchHeap(peak *uint64) (stop func()) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	base := read()
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if now := read(); now > base {
					*peak = max(*peak, now-base)
				}
			}
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}
