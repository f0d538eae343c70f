package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"firth/internal/archive"
	"firth/internal/config"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/object"
)

const jobImport = "import"

// ImportOptions are the command line of firth import.
type ImportOptions struct {
	Place          string // folder, file or s3://bucket/prefix?endpoint=...
	Source         string // empty: as the folders are named
	From, To       string // moments of receipt; empty: open
	DryRun         bool
	Config, Output string
	Stdout, Stderr io.Writer
}

// importOrder is what a person asks to be imported.
type importOrder struct {
	Place  string    `json:"place"`
	Source string    `json:"source,omitempty"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	DryRun bool      `json:"dry_run,omitempty"`
}

// text is the order for the log.
func (o *importOrder) text() string {
	place, _, _ := strings.Cut(o.Place, "?")
	words := []string{place}
	if o.Source != "" {
		words = append(words, "source "+o.Source)
	}
	if !o.From.IsZero() {
		words = append(words, "from "+momentText(o.From))
	}
	if !o.To.IsZero() {
		words = append(words, "to "+momentText(o.To))
	}
	if o.DryRun {
		words = append(words, "dry run")
	}
	return strings.Join(words, " ")
}

// importGarbage is how far the heap of a command that imports may grow before it is collected, in per cent: nearly all of it is buffers
// of a fixed size, which hold no pointers and cost the collector nothing.
const importGarbage = 40

// Import brings an archive into the lake. Where a server runs on the data folder it does the work; otherwise the command takes the
// folder and does it by the same code.
func Import(ctx context.Context, o ImportOptions) error {
	common := LakeOptions{Config: o.Config, Output: o.Output}
	if err := common.checkOutput(); err != nil {
		return err
	}
	order, err := o.order(time.Now())
	if err != nil {
		return err
	}
	cfg, dir, err := common.where()
	if err != nil {
		return err
	}
	settings := importSettingsOf(cfg, dir)
	if err := settings.check(order); err != nil {
		return err
	}
	debug.SetMemoryLimit(parentMemory) // where the work is done here
	debug.SetGCPercent(importGarbage)
	show := newProgressShow(o.Stderr)
	text, err := doOrder(ctx, cfg, dir, jobImport, lakeOrder{Import: order}, show.show, o.Stderr)
	show.end()
	if err != nil {
		if ctx.Err() != nil {
			return hint(errors.New("ended before it was done"), "what was committed stays; run the same command again to go on")
		}
		return err
	}
	var report importReport
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	if o.Output == "json" {
		_, err = fmt.Fprintf(o.Stdout, "%s\n", text)
	} else {
		_, err = io.WriteString(o.Stdout, report.text())
	}
	return err
}

// order reads the command line.
func (o *ImportOptions) order(now time.Time) (*importOrder, error) {
	usage := func(err error, text string) error { return &hinted{usage: true, err: err, hint: text} }
	order := &importOrder{Place: o.Place, Source: o.Source, DryRun: o.DryRun}
	if !strings.HasPrefix(o.Place, "s3://") {
		path, err := filepath.Abs(o.Place) // the server stands in another folder
		if err != nil {
			return nil, fmt.Errorf("find archive: %w", err)
		}
		order.Place = path
	}
	for _, m := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", o.From, &order.From}, {"--to", o.To, &order.To}} {
		if m.text == "" {
			continue
		}
		t, err := parseMoment(m.text, now)
		if err != nil {
			return nil, usage(fmt.Errorf("%s: %w", m.flag, err), momentHint)
		}
		*m.into = t
	}
	if !order.From.IsZero() && !order.To.IsZero() && !order.From.Before(order.To) {
		return nil, usage(fmt.Errorf("--from %s is not before --to %s", o.From, o.To), "--from is in the span, --to is the first moment behind it")
	}
	return order, nil
}

// importSettings are what an import has to know of the configuration.
type importSettings struct {
	sources []string
	ip      uint8
	keep    time.Duration
	temp    string
}

func importSettingsOf(cfg *config.Config, dir folders) importSettings {
	s := importSettings{sources: sourceNames(cfg), ip: ipPolicies()[cfg.IP], keep: time.Duration(cfg.Lake.Keep), temp: dir.temp()}
	slices.Sort(s.sources)
	return s
}

// ipPolicies are the policies for addresses by their names in the configuration.
func ipPolicies() map[string]uint8 {
	return map[string]uint8{"keep": event.IPKeep, "truncate": event.IPTruncate, "drop": event.IPDrop}
}

// check says what is wrong with an order before anything is opened.
func (s importSettings) check(o *importOrder) error {
	if o.Source == "" || slices.Contains(s.sources, o.Source) {
		return nil
	}
	if len(s.sources) == 0 {
		return hint(fmt.Errorf("there is no source %s in the configuration: it has none", o.Source), "write sources: {%s: {write_key: ...}}", o.Source)
	}
	return hint(fmt.Errorf("there is no source %s in the configuration", o.Source), "the sources are %s; write --source with one of them, or add %s: {write_key: ...} under sources:",
		strings.Join(s.sources, ", "), o.Source)
}

// bySource says which files belong to which source.
func (s importSettings) bySource(a *archive.Archive, o *importOrder) (map[string]*archive.Archive, error) {
	if o.Source != "" {
		return map[string]*archive.Archive{o.Source: a}, nil
	}
	owner := func(f archive.File) string {
		for _, folder := range slices.Backward(f.Folders()) {
			if slices.Contains(s.sources, folder) {
				return folder
			}
		}
		if base := filepath.Base(o.Place); slices.Contains(s.sources, base) {
			return base
		}
		return ""
	}
	out := map[string]*archive.Archive{}
	for _, f := range a.List() {
		name := owner(f)
		if name == "" {
			return nil, hint(fmt.Errorf("it is not known which source the events of %s belong to: no folder bears the name of one", f.Name),
				"write --source with one of %s, or import one folder at a time", strings.Join(s.sources, ", "))
		}
		out[name] = nil
	}
	for name := range out {
		out[name] = a.Only(func(f archive.File) bool { return owner(f) == name })
	}
	return out, nil
}

// importArchive carries out an order.
func (t *lakeTools) importArchive(ctx context.Context, order lakeOrder, show func(progress)) (any, error) {
	o := order.Import
	if o == nil {
		return nil, errors.New("the order names no archive")
	}
	if err := t.imports.check(o); err != nil {
		return nil, err
	}
	show(progress{Stage: "list the archive"})
	a, err := archive.Open(ctx, o.Place)
	if err != nil {
		return nil, archiveHint(err)
	}
	parts, err := t.imports.bySource(a, o)
	if err != nil {
		return nil, err
	}
	report := &importReport{Place: a.Place()}
	for _, source := range slices.Sorted(maps.Keys(parts)) {
		r, err := t.lake.Import(ctx, lake.ImportOptions{
			Archive: parts[source], Source: source, From: o.From, To: o.To, DryRun: o.DryRun,
			Keep: t.imports.keep, IPPolicy: t.imports.ip, Temp: t.imports.temp, Nice: mergeNice,
		}, importShow(source, o.DryRun, show))
		if err != nil {
			return nil, archiveHint(lakeHint(err))
		}
		report.Sources = append(report.Sources, r)
	}
	return report, nil
}

// importShow shows progress in bytes of the archive, whose events nobody has counted.
func importShow(source string, dry bool, show func(progress)) func(lake.ImportProgress) {
	stage := "import into " + source
	if dry {
		stage = "count what is for " + source
	}
	var first lake.ImportProgress // where this run began: an earlier one may have read the rest
	return func(p lake.ImportProgress) {
		if first.Took == 0 {
			first = p
		}
		out := progress{Stage: stage, Done: p.Read, Total: p.Bytes, Unit: "bytes"}
		if s := p.Took.Seconds(); s > 0 {
			out.Note = fmt.Sprintf("%s events, %s a second", countText(p.Lines), countText(int64(float64(p.Lines)/s)))
		}
		if read, took := p.Read-first.Read, p.Took-first.Took; read > 0 && p.Bytes > p.Read {
			out.Left = took.Seconds() * float64(p.Bytes-p.Read) / float64(read)
		}
		show(out)
	}
}

// archiveHint gives an error of an archive what a person can do about it, where the error does not say it itself.
func archiveHint(err error) error {
	var o *object.Error
	switch {
	case errors.As(err, &o) && o.Kind == object.Denied:
		return hint(err, "%s; where a server runs, it is the server that reads the archive, with its credentials", o.Hint)
	case errors.As(err, &o) && o.Kind == object.NoBucket:
		return hint(err, "correct the name of the bucket, or the endpoint")
	case err == nil || hintOf(err) != "":
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, archive.ErrNothing):
		return hint(err, "name the folder that holds the files: for Segment the one below segment-logs/, for RudderStack the one below rudder-logs/")
	case errors.Is(err, fs.ErrPermission):
		return hint(err, "let this user read the archive; where a server runs, it is the server that reads it")
	}
	return err
}

var _ lake.ImportArchive = (*archive.Archive)(nil)

var _ = [1]int{}[archive.NoDay-event.NoTime] // the two mean the same to the lake
