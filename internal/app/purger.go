package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/journal"
	"firth/internal/lake"
)

// purger carries purges out, one after the other, and goes on with those that a kill or a failure has left. It is safe for use by several
// goroutines; run is called once.
type purger struct {
	box     purgeBox
	lake    *lake.Lake
	journal *journal.Journal
	writer  *lake.Writer
	merge   lake.MergeOptions
	log     *slog.Logger
	now     func() time.Time
	retry   time.Duration

	// forget is step (f): warehouses and mirrors.
	forget func(ctx context.Context, o forgetOrder, show func(progress)) (*forgetReport, error)
	// where finds the message ids, by table, of the rows that a condition chooses.
	where func(ctx context.Context, source, condition string) (map[string][]string, error)
	// step is told the name of each step before it is taken, for tests.
	step func(name string) error

	wake chan struct{}

	mu      sync.Mutex
	at      map[string]progress // by job: how far it is
	failed  map[string]error    // why it does not go on
	trouble map[string]error    // of the last attempt, until one succeeds; "": why jobs cannot be read
	changed chan struct{}       // closed with every change
}

// purgeRetry is how long a purge waits that failed.
const purgeRetry = 15 * time.Second

func newPurger(dir folders, l *lake.Lake, j *journal.Journal, w *lake.Writer, log *slog.Logger) *purger {
	return &purger{
		box: purgeBox{dir.purge()}, lake: l, journal: j, writer: w, log: log, now: time.Now, retry: purgeRetry,
		step: func(string) error { return nil }, wake: make(chan struct{}, 1),
		at: map[string]progress{}, failed: map[string]error{}, trouble: map[string]error{}, changed: make(chan struct{}),
	}
}

// Run carries out what there is to do until ctx ends.
func (p *purger) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		ok := p.round(ctx)
		pause := time.NewTimer(p.retry)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-pause.C:
			if ok { // nothing is left: only an order wakes it
				select {
				case <-ctx.Done():
				case <-p.wake:
				}
			}
		}
		pause.Stop()
	}
	return nil
}

// round carries out all pending jobs once, and reports whether none is left.
func (p *purger) round(ctx context.Context) (ok bool) {
	jobs, err := p.box.pending()
	p.note(func() { p.trouble[""] = err })
	if err != nil {
		p.log.Warn("purges cannot be read", "error", err)
		return false
	}
	ok = true
	p.note(func() {
		maps.DeleteFunc(p.trouble, func(id string, _ error) bool {
			return !slices.ContainsFunc(jobs, func(j *purgeJob) bool { return j.ID == id })
		})
	})
	for _, j := range jobs {
		err := p.carryOut(ctx, j)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			ok = false
			p.log.Warn("a purge is not complete; it is tried again", "purge", j.ID, "step", j.Step, "error", err, "hint", hintOf(err))
		} else {
			p.log.Info("a purge is complete", "purge", j.ID)
		}
		p.note(func() { p.failed[j.ID], p.trouble[j.ID] = err, err })
	}
	return ok
}

// note changes what is told of jobs, and wakes those who follow it.
func (p *purger) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// submit begins a purge, unless the same is under way: then it is that one.
func (p *purger) submit(ctx context.Context, r *purgeRequest) (id string, err error) {
	if r.Where != "" {
		if _, err := p.where(ctx, r.Source, "("+r.Where+") AND false"); err != nil {
			return "", err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	jobs, err := p.box.pending()
	if err != nil {
		return "", err
	}
	for _, j := range jobs {
		if j.Request != nil && j.Request.same(r) {
			return j.ID, p.poke()
		}
	}
	j := &purgeJob{Version: purgeVersion, Began: p.now().UTC(), Step: purgeRecord, Request: r, Source: r.Source, Mentions: r.Mentions, Where: r.Where != ""}
	if j.ID, err = newPurgeID(p.now()); err != nil {
		return "", err
	}
	for kind, ids := range map[string][]string{lake.KindUser: r.Users, lake.KindAnonymous: r.Anonymous} {
		for _, one := range ids {
			h, err := p.lake.SuppressionHash(kind, one)
			if err != nil {
				return "", err
			}
			j.Who = append(j.Who, purgeHash{kind, hex.EncodeToString(h.Sum[:])})
		}
	}
	if r.suppresses() {
		j.Suppressed = slices.Clone(j.Who)
	}
	if err := p.step("submit"); err != nil {
		return "", err
	}
	if err := p.box.save(j); err != nil {
		return "", err
	}
	return j.ID, p.poke()
}

func (p *purger) poke() error {
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// follow waits until a purge is done and shows how far it is. The error is that of its last attempt where patient is not set.
func (p *purger) follow(ctx context.Context, id string, patient bool, show func(progress)) (*purgeJob, error) {
	for {
		p.mu.Lock()
		at, told := p.at[id]
		failed, changed := p.failed[id], p.changed
		p.mu.Unlock()
		j, err := p.box.read(id)
		if err != nil || j.Step == purgeDone {
			return j, err
		}
		if failed != nil && !patient {
			return j, failed
		}
		if failed != nil {
			at, told = progress{Stage: "it is tried again: " + failed.Error()}, true
		}
		if told {
			show(at)
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-changed:
		}
	}
}

// carryOut takes the steps of a job that are left. Its errors name nobody.
func (p *purger) carryOut(ctx context.Context, j *purgeJob) error {
	show := func(at progress) {
		p.note(func() { p.at[j.ID] = at; delete(p.failed, j.ID) })
	}
	steps := []struct {
		name string
		take func(context.Context, *purgeJob, func(progress)) error
		next string
	}{
		{purgeRecord, p.record, purgeJournal},
		{purgeJournal, p.empty, purgeLake},
		{purgeLake, p.clean, purgeForget},
		{purgeForget, p.others, purgeGrace},
		{purgeGrace, p.bury, purgeDone},
	}
	for _, s := range steps {
		if j.Step != s.name {
			continue
		}
		if err := p.step(s.name); err != nil {
			return err
		}
		if err := s.take(ctx, j, show); err != nil {
			return err
		}
		if j.Step = s.next; j.Step == purgeDone {
			p.finish(j)
		}
		if err := p.step("before " + s.next); err != nil {
			return err
		}
		if err := p.box.save(j); err != nil {
			return err
		}
	}
	return nil
}

// record puts the suppression into the journal, or a mark where there is none to be: what stands before it is to go.
func (p *purger) record(ctx context.Context, j *purgeJob, show func(progress)) error {
	show(progress{Stage: "write it into the journal"})
	order := event.Order{Op: event.OrderMark, Source: j.Request.Source}
	for _, s := range j.Suppressed {
		order.Op = event.OrderSuppress
		h, err := lake.ParseHash(s.Kind, s.Hash)
		if err != nil {
			return err
		}
		order.Hashes = append(order.Hashes, h)
	}
	entry, err := p.journal.Append(ctx, order.AppendTo(nil), 1)
	if err != nil {
		return hint(fmt.Errorf("write a purge into the journal: %w", err), "%s", journal.Hint(err))
	}
	j.Log, j.Offset = p.journal.Log(), entry.Offset
	return nil
}

// empty brings the journal up to the record into the lake, and the record's file and those before it off the disk.
func (p *purger) empty(ctx context.Context, j *purgeJob, show func(progress)) error {
	if j.Log != p.journal.Log() { // the journal was exchanged: another one is under way
		j.Step = purgeRecord
		if err := p.box.save(j); err != nil {
			return err
		}
		return errors.New("the journal was exchanged for another: the purge begins anew")
	}
	behind := p.journal.Stats().Next // all below it, the record among it, is in files that go
	if err := p.journal.Roll(); err != nil {
		return hint(fmt.Errorf("begin a new file of the journal: %w", err), "%s", journal.Hint(err))
	}
	if err := p.step("rolled"); err != nil {
		return err
	}
	mark := event.Order{Op: event.OrderMark}
	entry, err := p.journal.Append(ctx, mark.AppendTo(nil), 1)
	if err != nil {
		return hint(fmt.Errorf("write a purge into the journal: %w", err), "%s", journal.Hint(err))
	}
	for p.journal.Stats().Oldest < behind || p.writer.Stats().Position <= entry.Offset {
		at := progress{Stage: "bring the journal into the lake"}
		if s := p.writer.State(); s.State == lake.StateFailing {
			at.Stage = "the lake cannot be written, which must heal first: " + s.Error
		}
		show(at)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
	return nil
}

// clean takes the rows out of the lake.
func (p *purger) clean(ctx context.Context, j *purgeJob, show func(progress)) error {
	if j.Rows == nil {
		j.Rows = map[string][]string{}
	}
	if j.Request.Where != "" {
		show(progress{Stage: "find the rows of --where"})
		rows, err := p.where(ctx, j.Request.Source, j.Request.Where)
		if err != nil {
			return err
		}
		for table, ids := range rows {
			j.addRows(table, ids)
		}
		if err := p.box.save(j); err != nil {
			return err
		}
	}
	o := p.options(j.ID, j.Request, j.Rows)
	o.Log, o.Before = j.Log, j.Offset
	o.Found = func(table string, ids []string) error {
		j.addRows(table, ids)
		return p.box.save(j)
	}
	report, err := p.lake.Purge(ctx, o, showPurge(show))
	if err != nil {
		return hint(err, "%s", purgeHint(err))
	}
	j.Lake, j.Linked = &report, len(report.Linked)
	j.SweepAfter = p.now().Add(j.Request.Grace).UTC()
	if err := p.box.save(j); err != nil {
		return err
	}
	return p.lake.PurgeDone(ctx, j.ID)
}

func (j *purgeJob) addRows(table string, ids []string) {
	all := append(j.Rows[table], ids...)
	slices.Sort(all)
	j.Rows[table] = slices.Compact(all)
}

// options are those of a purge of the lake.
func (p *purger) options(id string, r *purgeRequest, rows map[string][]string) lake.PurgeOptions {
	return lake.PurgeOptions{
		ID: id, Source: r.Source, UserIDs: r.Users, AnonymousIDs: r.Anonymous, MessageIDs: rows, Mentions: r.Mentions,
		Suppressed: r.suppresses(), Merge: p.merge,
	}
}

func purgeHint(err error) string {
	if errors.Is(err, lake.ErrDamaged) {
		return lake.DamageHint
	}
	return "look at the disk of the lake; it is tried again by itself"
}

// showPurge tells how far the lake is.
func showPurge(show func(progress)) func(lake.PurgeProgress) {
	stages := map[string]string{
		"search": "search ", "rewrite": "write files anew of ", "metadata": "clean the metadata of ", "window": "clean the dedup window of ",
		"sweep": "remove old files of ", "wait": "wait for work on the lake that is under way",
	}
	return func(at lake.PurgeProgress) {
		show(progress{Stage: stages[at.Step] + at.Table, Done: at.Done, Total: at.Total, Unit: "files"})
	}
}
