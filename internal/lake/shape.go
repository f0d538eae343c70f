package lake

import (
	"context"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

const colPayload = "og_payload"

// needsPayload reports whether a call has columns of its tables in its payload and nowhere else.
func needsPayload(c *event.Call) bool { return c.Type != "track" && c.Type != "identify" }

// CallsToShape is [Reader.Calls] for whoever makes rows of Segment's tables: Payload, which is half of a file's bytes, is nil in
// track and identify calls and need not be read for them. Calls of the other types come behind, file by file.
func (r *Reader) CallsToShape(ctx context.Context, snap *Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	lean := make([]string, 0, len(callColumns()))
	for _, c := range callColumns() {
		if c.Name != colPayload {
			lean = append(lean, c.Name)
		}
	}
	in := func(c *event.Call) bool { return c.Log == log && c.Offset >= from && c.Offset < to }
	probe := []string{"type", colLog, colOffset}
	for _, f := range snap.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.MayHold(log, from, to) {
			continue
		}
		err := withFile(r.verifier, r.calls, f, func(file *rowfile.File[event.Call]) error {
			err := file.Scan(rowfile.Scan{Columns: lean, Probe: probe}, func(c *event.Call) bool { return !needsPayload(c) && in(c) }, fn)
			if err != nil {
				return err
			}
			return file.Scan(rowfile.Scan{Probe: probe}, func(c *event.Call) bool { return needsPayload(c) && in(c) }, fn)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
