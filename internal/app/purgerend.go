package app

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
)

// others makes warehouses and mirrors forget. It is complete when all of them are; those that are done are not asked again.
func (p *purger) others(ctx context.Context, j *purgeJob, show func(progress)) error {
	o := forgetOrder{UserIDs: j.Request.Users, AnonymousIDs: j.Request.Anonymous}
	if j.Request.Source != "" {
		o.Sources = []string{j.Request.Source}
	}
	for _, ids := range j.Rows {
		o.RowIDs = append(o.RowIDs, ids...)
	}
	slices.Sort(o.RowIDs)
	if len(o.ids()) == 0 { // a condition that no row meets
		return nil
	}
	o.Done = j.Warehouses.complete()
	report, err := p.forget(ctx, o, show)
	if report != nil {
		j.Warehouses.take(report)
		err = errors.Join(err, p.box.save(j))
	}
	return err
}

// take puts what a later attempt did beside what earlier ones had.
func (r *forgetReport) take(o *forgetReport) {
	for _, w := range o.Warehouses {
		r.Warehouses = slices.DeleteFunc(r.Warehouses, func(had forgottenWarehouse) bool {
			if had.Warehouse != w.Warehouse {
				return false
			}
			for name, n := range had.Rows { // of an attempt that was not complete
				w.Rows[name] += n
			}
			return true
		})
		r.Warehouses = append(r.Warehouses, w)
	}
}

// bury removes the old files of the lake, once nobody can read them any more.
func (p *purger) bury(ctx context.Context, j *purgeJob, show func(progress)) error {
	for left := j.SweepAfter.Sub(p.now()); left > 0; left = j.SweepAfter.Sub(p.now()) {
		show(progress{Stage: "wait until nobody reads the old files", Left: left.Seconds()})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, time.Second)):
		}
	}
	removed, err := p.lake.Bury(ctx, j.Request.Source, showPurge(show))
	if err != nil {
		return hint(err, "%s", purgeHint(err))
	}
	if had := j.Removed; had != nil {
		removed.Files, removed.Bytes = removed.Files+had.Files, removed.Bytes+had.Bytes
	}
	j.Removed = &removed
	return nil
}

// What a receipt says of what is out of reach.
const (
	noticeBackups = "backups that were made before hold the person until they are replaced"
	noticeLeftOut = "; a restore leaves out who is suppressed"
	noticeBack    = "; a restore brings the rows back, since nobody is suppressed"
	noticeComing  = "calls that come later are answered with 200, pass through the journal and leave it within seconds of rest; they are counted and not stored"
	noticeSource  = "rows that the databases of mirrors have themselves are to be removed there"
	noticeDisk    = "blocks of removed files may be read from the disk until the file system uses them again"
	noticeStored  = "calls that come later are stored: nobody is suppressed; later is what the journal took behind the beginning of this purge, and what imports committed behind its search"
	noticeLinked  = "rows of the person had anonymous ids that were not given: rows with these alone are still there; see --dry-run, and purge them with --anonymous-id"
	noticeOthers  = "rows of others mention an id in their text and were left; --mentions removes them"
	noticeDamaged = "the journal's folder has files that a salvage set aside (*.damaged): look whether the person is in them, and remove them"
	noticeForeign = "files in the lake's folders that are none of Firth's were not looked at"
)

// finish makes the receipt of a job: it names nobody.
func (p *purger) finish(j *purgeJob) {
	j.Notices = []string{noticeBackups + noticeLeftOut, noticeSource, noticeDisk, noticeComing}
	if !j.Request.suppresses() {
		j.Notices = []string{noticeBackups + noticeBack, noticeSource, noticeDisk, noticeStored}
	}
	if j.Linked > 0 {
		j.Notices = append(j.Notices, noticeLinked)
	}
	if j.Lake != nil && !j.Mentions && slices.ContainsFunc(j.Lake.Tables, func(t lake.PurgeTable) bool { return t.Mentions > 0 }) {
		j.Notices = append(j.Notices, noticeOthers)
	}
	if found, _ := filepath.Glob(filepath.Join(filepath.Dir(p.box.dir), "journal", "*.damaged")); len(found) > 0 { // the pattern is sound
		j.Notices = append(j.Notices, noticeDamaged)
	}
	if j.Removed != nil && j.Removed.Foreign > 0 {
		j.Notices = append(j.Notices, noticeForeign)
	}
	j.Request, j.Rows, j.Ended = nil, nil, p.now().UTC()
}

// lift lets a person's calls be stored again.
func (p *purger) lift(ctx context.Context, hash string) (*liftReport, error) {
	order := event.Order{Op: event.OrderLift}
	for _, s := range p.lake.Suppressions() {
		if s.Hash != hash {
			continue
		}
		h, err := lake.ParseHash(s.Kind, s.Hash)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(order.Hashes, h) {
			order.Hashes = append(order.Hashes, h)
		}
	}
	if len(order.Hashes) == 0 {
		return nil, &hinted{usage: true, err: errors.New("nobody is suppressed by that hash"), hint: "firth lake purge --list shows the hashes"}
	}
	entry, err := p.journal.Append(ctx, order.AppendTo(nil), 1)
	if err != nil {
		return nil, err
	}
	for p.writer.Stats().Position <= entry.Offset {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleEvery):
		}
	}
	return &liftReport{Lifted: hash}, nil
}

// liftReport is the outcome of --lift.
type liftReport struct {
	Lifted string `json:"lifted"`
}

// look is a dry run: what a purge would remove of what the lake has now.
func (p *purger) look(ctx context.Context, r *purgeRequest, show func(progress)) (*purgeLook, error) {
	if err := settleWriter(ctx, p.journal, p.writer, show); err != nil {
		return nil, err
	}
	var rows map[string][]string
	var err error
	if r.Where != "" {
		show(progress{Stage: "find the rows of --where"})
		if rows, err = p.where(ctx, r.Source, r.Where); err != nil {
			return nil, err
		}
	}
	o := p.options("", r, rows)
	o.DryRun = true
	report, err := p.lake.Purge(ctx, o, showPurge(show))
	if err != nil {
		return nil, hint(err, "%s", purgeHint(err))
	}
	return &purgeLook{Tables: report.Tables, Linked: report.Linked}, nil
}

// purgeLook is what a dry run found.
type purgeLook struct {
	Tables []lake.PurgeTable `json:"tables"`
	Linked []string          `json:"linked_anonymous_ids,omitempty"`
}
