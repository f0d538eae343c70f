package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/lake"
)

// PurgeOptions are the command line of firth lake purge.
type PurgeOptions struct {
	LakeOptions

	Users, Anonymous []string
	Where            string
	Mentions         bool
	NoSuppress       bool
	Grace            time.Duration
	GraceSet         bool // Grace was given
	DryRun           bool
	List             bool
	Lift             string
	Receipt          string
}

// mostPurged bounds the ids of one purge: all of the lake's text is searched for each.
const mostPurged = 100

func (o *PurgeOptions) check() error {
	ways := 0
	for _, on := range []bool{o.List, o.Lift != "", o.Receipt != "", len(o.Users)+len(o.Anonymous) > 0 || o.Where != ""} {
		if on {
			ways++
		}
	}
	var wrong string
	switch {
	case ways == 0:
		wrong = "it is not said who is to be purged"
	case ways > 1:
		wrong = "--list, --lift and --receipt stand alone"
	case len(o.Users)+len(o.Anonymous) > mostPurged:
		wrong = fmt.Sprintf("more than %d ids at a time", mostPurged)
	case slices.Contains(o.Users, "") || slices.Contains(o.Anonymous, ""):
		wrong = "an id is empty"
	case o.Grace < 0:
		wrong = "--grace is below zero"
	default:
		return o.checkOutput()
	}
	return &hinted{usage: true, err: errors.New(wrong), hint: "firth lake purge --user ID, --anonymous-id ID or --where SQL; --dry-run shows what it would remove"}
}

// Purge carries out firth lake purge, by the server where one runs.
func Purge(ctx context.Context, o PurgeOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	cfg, dir, err := o.where()
	if err != nil {
		return err
	}
	if o.List || o.Receipt != "" {
		return o.read(dir)
	}
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		return emptyFolder(dir.root)
	}
	job, order := o.order(cfg)
	show := newProgressShow(o.Stderr)
	log := slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	report, err := hereOrThere(ctx, dir.root,
		func() (json.RawMessage, error) { return purgeHere(ctx, cfg, dir, job, order, show.show, log) },
		func() (json.RawMessage, error) { return sendOrder(ctx, dir.control(), job, order, show.show) })
	show.end()
	if err != nil && ctx.Err() != nil {
		return hint(errors.New("it was not waited for the end"), "a server goes on with it by itself, and so does the same command; firth lake purge --list shows how far it is")
	}
	if err != nil {
		return err
	}
	return o.print(job, report)
}

// order is what is asked of the server.
func (o *PurgeOptions) order(cfg *config.Config) (job string, order lakeOrder) {
	if o.Lift != "" {
		return jobPurgeLift, lakeOrder{Which: o.Lift}
	}
	grace := o.Grace
	if !o.GraceSet {
		grace = time.Duration(cfg.Query.Deadline) + time.Second
	}
	order.Purge = &purgeRequest{
		Users: sorted(o.Users), Anonymous: sorted(o.Anonymous), Where: o.Where, Source: o.Source,
		Mentions: o.Mentions, NoSuppress: o.NoSuppress, Grace: grace,
	}
	if o.DryRun {
		return jobPurgeLook, order
	}
	return jobPurge, order
}

func sorted(ids []string) []string {
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}

// purgeList is what --list shows.
type purgeList struct {
	Suppressed []lake.Suppression `json:"suppressed"`
	Purges     []purgeLine        `json:"purges"`
}

type purgeLine struct {
	ID    string    `json:"id"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	Step  string    `json:"step"`
}

// read shows what is kept of purges: the files alone, whether a server runs or not.
func (o *PurgeOptions) read(dir folders) error {
	box := purgeBox{dir.purge()}
	var out interface{ text() string }
	if o.Receipt != "" {
		j, err := box.read(o.Receipt)
		if err != nil {
			return err
		}
		j.Request, j.Rows = nil, nil // of one that is not done yet
		out = j
	} else {
		list, err := listPurges(box)
		if err != nil {
			return err
		}
		out = list
	}
	text, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("write purges: %w", err)
	}
	return o.write(text, out)
}

func listPurges(box purgeBox) (*purgeList, error) {
	jobs, err := box.all()
	if err != nil {
		return nil, err
	}
	list := &purgeList{Purges: []purgeLine{}}
	for _, j := range jobs {
		list.Purges = append(list.Purges, purgeLine{j.ID, j.Began, j.Ended, j.Step})
	}
	list.Suppressed, err = lake.ReadSuppressions(box.dir)
	return list, err
}

// print shows the outcome of a job.
func (o *PurgeOptions) print(job string, report json.RawMessage) error {
	outs := map[string]interface{ text() string }{jobPurge: &purgeJob{}, jobPurgeLook: &purgeLook{}, jobPurgeLift: &liftReport{}}
	if err := json.Unmarshal(report, outs[job]); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	return o.write(report, outs[job])
}

func (o *PurgeOptions) write(report []byte, of interface{ text() string }) error {
	if o.Output == "json" {
		_, err := fmt.Fprintf(o.Stdout, "%s\n", report)
		return err
	}
	_, err := io.WriteString(o.Stdout, of.text())
	return err
}

func (l *purgeList) text() string {
	var b strings.Builder
	for _, j := range l.Purges {
		state := "complete " + j.Ended.Format(time.DateTime)
		if j.Step != purgeDone {
			state = "under way: " + j.Step
		}
		fmt.Fprintf(&b, "purge       %s  %s\n", j.ID, state)
	}
	for _, s := range l.Suppressed {
		of := s.Source
		if of == "" {
			of = "all sources"
		}
		fmt.Fprintf(&b, "suppressed  %s  %s  since %s, %s\n", s.Hash, s.Kind, time.UnixMicro(s.Since).UTC().Format(time.DateTime), of)
	}
	if b.Len() == 0 {
		return "nobody was purged and nobody is suppressed\n"
	}
	return b.String()
}

func (r *liftReport) text() string {
	return "lifted: calls of that person are stored again; what was removed does not come back\n"
}

func (l *purgeLook) text() string {
	var b strings.Builder
	for _, t := range l.Tables {
		fmt.Fprintf(&b, "%s: %s of the person and %s of others that mention an id, in %s of %s\n", t.Table, countOf(t.Rows, "row"), countText(t.Mentions), countText(t.Hit), countOf(t.Files, "file"))
		for _, f := range t.List {
			fmt.Fprintf(&b, "  %s  %s of %s, %s\n", f.Path, countText(f.Rows), countOf(f.Of, "row"), sizeText(f.Bytes))
		}
	}
	if len(l.Linked) > 0 {
		fmt.Fprintf(&b, "anonymous ids in these rows, to be given with --anonymous-id: %s\n", strings.Join(l.Linked, ", "))
	}
	return b.String()
}

func (j *purgeJob) text() string {
	var b strings.Builder
	if j.Step != purgeDone {
		fmt.Fprintf(&b, "purge %s, begun %s, is not complete: %s\n", j.ID, j.Began.Format(time.DateTime), j.Step)
	} else {
		fmt.Fprintf(&b, "purge %s, begun %s, complete %s (%s)\n", j.ID, j.Began.Format(time.DateTime), j.Ended.Format(time.DateTime), spanText(j.Ended.Sub(j.Began)))
	}
	for _, w := range j.Who {
		fmt.Fprintf(&b, "  who         %s %s\n", w.Kind, w.Hash)
	}
	if j.Lake != nil {
		for _, t := range j.Lake.Tables {
			fmt.Fprintf(&b, "  lake        %s: %s removed, %s written anew of %s that held any, of %s\n", t.Table, countOf(t.Removed, "row"), countOf(t.Written, "file"), countText(t.Hit), countText(t.Files))
			if t.Mentions > 0 && !j.Mentions {
				fmt.Fprintf(&b, "              %s rows of others mention an id\n", countText(t.Mentions))
			}
		}
	}
	if j.Removed != nil {
		fmt.Fprintf(&b, "  old files   %s removed, %s\n", countText(j.Removed.Files), sizeText(j.Removed.Bytes))
	}
	for line := range strings.Lines(j.Warehouses.text()) {
		b.WriteString("  warehouse   " + line)
	}
	for _, n := range j.Notices {
		fmt.Fprintf(&b, "  notice      %s\n", n)
	}
	return b.String()
}
