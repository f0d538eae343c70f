package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firth/internal/lake"
)

// lakeFile is one data file as firth lake files lists it.
type lakeFile struct {
	Table       string    `json:"table"`
	Day         string    `json:"day"`
	Rows        int64     `json:"rows"`
	Bytes       int64     `json:"bytes"`
	FirstEvent  string    `json:"first_event,omitempty"` // bounds of the names of its events; they may be shortened
	LastEvent   string    `json:"last_event,omitempty"`
	ReceivedMin time.Time `json:"received_from"`
	ReceivedMax time.Time `json:"received_to"`
	Path        string    `json:"path"`
	URL         string    `json:"url"`
}

// lakeTotal is the sum of a table's files, or of all.
type lakeTotal struct {
	Table string `json:"table,omitempty"`
	Days  int    `json:"days"`
	Files int    `json:"files"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

type lakeListing struct {
	Files  []lakeFile  `json:"files"`
	Tables []lakeTotal `json:"tables"`
	Total  lakeTotal   `json:"total"`
}

// LakeFiles lists the files of the lake, sorted by table, day and path. It only reads, beside a server or without one.
func LakeFiles(ctx context.Context, o LakeOptions) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	if o.Day != "" {
		if _, err := time.Parse(time.DateOnly, o.Day); err != nil {
			return &hinted{usage: true, err: fmt.Errorf("%q is no day", o.Day), hint: "write it as 2006-01-02"}
		}
	}
	when, err := o.span()
	if err != nil {
		return err
	}
	reader, err := o.openReader(ctx)
	if err != nil {
		return err
	}
	list, err := o.listFiles(ctx, reader, when)
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	if o.Output == "json" {
		return json.NewEncoder(o.Stdout).Encode(list)
	}
	list.print(o.Stdout, o.now())
	return nil
}

// openReader opens the lake of the configuration for reading.
func (o *LakeOptions) openReader(ctx context.Context) (*lake.Reader, error) {
	cfg, dir, err := o.where()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		return nil, emptyFolder(dir.root)
	}
	reader, err := openLakeReader(ctx, cfg, dir)
	if err != nil {
		return nil, lakeHint(fmt.Errorf("open lake: %w", err))
	}
	return reader, nil
}

func emptyFolder(dir string) error {
	return hint(fmt.Errorf("there is no lake in the data folder %s", dir), "start the server once (firth serve), or name its configuration: -c firth.yaml")
}

// tables are the tables that the options name: one, or every one with the dead letters last.
func (o *LakeOptions) tables(ctx context.Context, reader *lake.Reader) ([]string, error) {
	names, err := reader.Sources(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	if names, err = withDeadLetters(ctx, reader, names); err != nil {
		return nil, err
	}
	if o.Source == "" {
		return names, nil
	}
	if !slices.Contains(names, o.Source) {
		return nil, &hinted{usage: true, err: fmt.Errorf("the lake has no table %s", o.Source), hint: "its tables are " + strings.Join(names, ", ")}
	}
	return []string{o.Source}, nil
}

// withDeadLetters adds the table of dead letters, which a lake lacks whose first start did not reach its store.
func withDeadLetters(ctx context.Context, reader *lake.Reader, names []string) ([]string, error) {
	switch _, err := reader.Snapshot(ctx, lake.DeadLetters); {
	case errors.Is(err, lake.ErrNoTable):
		return names, nil
	case err != nil:
		return nil, fmt.Errorf("list files of %s: %w", lake.DeadLetters, err)
	}
	return append(names, lake.DeadLetters), nil
}

func (o *LakeOptions) listFiles(ctx context.Context, reader *lake.Reader, when span) (*lakeListing, error) {
	names, err := o.tables(ctx, reader)
	if err != nil {
		return nil, err
	}
	list := &lakeListing{Files: []lakeFile{}, Tables: []lakeTotal{}}
	all := map[string]bool{}
	for _, name := range names {
		snap, err := reader.Snapshot(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("list files of %s: %w", name, err)
		}
		sum, days := lakeTotal{Table: name}, map[string]bool{}
		for _, f := range snap.Files {
			day := f.Day.Format(time.DateOnly)
			if o.Day != "" && day != o.Day || !when.may(f.MinReceived, f.MaxReceived) {
				continue
			}
			row := lakeFile{Table: name, Day: day, Rows: f.Rows, Bytes: f.Bytes, FirstEvent: f.MinEvent, LastEvent: f.MaxEvent,
				ReceivedMin: time.UnixMicro(f.MinReceived).UTC(), ReceivedMax: time.UnixMicro(f.MaxReceived).UTC(), Path: f.Path, URL: reader.Location(f)}
			if strings.HasPrefix(row.URL, "s3://") {
				row.Path = row.URL // the cache may have it, or not
			}
			if !utf8.ValidString(row.LastEvent) { // no bound is known
				row.LastEvent = ""
			}
			list.Files = append(list.Files, row)
			days[day], all[day] = true, true
			sum.Files, sum.Rows, sum.Bytes = sum.Files+1, sum.Rows+f.Rows, sum.Bytes+f.Bytes
		}
		sum.Days = len(days)
		list.Tables = append(list.Tables, sum)
		list.Total.Files, list.Total.Rows, list.Total.Bytes = list.Total.Files+sum.Files, list.Total.Rows+sum.Rows, list.Total.Bytes+sum.Bytes
	}
	list.Total.Days = len(all)
	slices.SortStableFunc(list.Files, func(a, b lakeFile) int {
		return cmp.Or(cmp.Compare(slices.Index(names, a.Table), slices.Index(names, b.Table)), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Path, b.Path))
	})
	return list, nil
}

// print writes the listing for a person; now is what ages count from.
func (l *lakeListing) print(w io.Writer, now time.Time) {
	if len(l.Files) > 0 {
		table := columns{header: []string{"table", "day", ">rows", ">bytes", "events", ">age", "file"}}
		for _, f := range l.Files {
			table.add(f.Table, f.Day, countText(f.Rows), sizeText(f.Bytes), eventsText(f.FirstEvent, f.LastEvent), spanText(now.Sub(f.ReceivedMax)), filepath.Base(f.Path))
		}
		table.print(w)
		fmt.Fprintln(w)
	}
	totals := columns{header: []string{"total", ">days", ">files", ">rows", ">bytes"}}
	for _, t := range append(l.Tables, l.Total) {
		if t.Table == "" {
			t.Table = "all"
		}
		totals.add(t.Table, countText(int64(t.Days)), countText(int64(t.Files)), countText(t.Rows), sizeText(t.Bytes))
	}
	totals.print(w)
}

const eventsWidth = 40

// eventsText is the range of a file's event names.
func eventsText(first, last string) string {
	text := first
	if last != first && last != "" {
		text += " … " + last
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > eventsWidth {
		return string(runes[:eventsWidth-1]) + "…"
	}
	return text
}
