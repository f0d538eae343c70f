package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"firth/internal/config"
	"firth/internal/infer"
	"firth/internal/mirror"
	"firth/internal/source"
)

// InferOptions are the command line of firth infer.
type InferOptions struct {
	Database, Collection string
	Format               string // table or json
	Sample               int    // documents that are looked at
	All                  bool   // all of them
	Config               string
	Stdout, Stderr       io.Writer

	kinds map[string]sourceKind // nil: those of this build
}

// Infer reads documents, or the columns of a table, and prints which columns a mirror would make of them. Nothing is written.
func Infer(ctx context.Context, o InferOptions) error {
	if o.Format != "table" && o.Format != "json" {
		return &hinted{usage: true, err: fmt.Errorf("unknown format %q", o.Format), hint: "write -f table or -f json"}
	}
	if o.Sample < 1 {
		return &hinted{usage: true, err: fmt.Errorf("--sample %d is no number of documents", o.Sample), hint: "write --sample 10000, or --all"}
	}
	if o.kinds == nil {
		o.kinds = sourceKinds()
	}
	cfg, err := loadConfig(o.Config, os.Stdin)
	if err != nil {
		return err
	}
	block, spec, err := o.block(cfg)
	if err != nil {
		return err
	}
	d := newDatabases(cfg, o.kinds, slog.New(slog.DiscardHandler))
	err = o.look(ctx, d, block, spec)
	if err = errors.Join(err, d.close()); err != nil && ctx.Err() != nil {
		return errors.New("ended before it was done")
	}
	return err
}

// block is what is asked for as a block of a mirror would say it.
func (o *InferOptions) block(cfg *config.Config) (*config.Block, source.Spec, error) {
	db, ok := cfg.Databases[o.Database]
	if !ok {
		known := "the configuration has no databases"
		if names := cfg.DatabaseNames(); len(names) > 0 {
			known = "the configuration has " + strings.Join(names, ", ")
		}
		return nil, source.Spec{}, &hinted{usage: true, err: fmt.Errorf("there is no database %q", o.Database), hint: known}
	}
	b, s := &config.Block{Database: o.Database, Kind: db.Type}, source.Spec{}
	switch {
	case db.Type == config.MongoDB:
		s.Collection = o.Collection
	case db.Type == config.Redis:
		if !strings.Contains(o.Collection, "{id}") {
			return nil, s, &hinted{usage: true, err: fmt.Errorf("%q is no template of keys", o.Collection), hint: `write where the id goes: firth infer ` + o.Database + ` "project:{id}:usage"`}
		}
		s.Keys = o.Collection
	case strings.ContainsAny(o.Collection, " \t\n"):
		s.Query = o.Collection
	default:
		s.Table = o.Collection
	}
	return b, s, nil
}

func (o *InferOptions) look(ctx context.Context, d *databases, b *config.Block, spec source.Spec) (err error) {
	s, err := d.open(ctx, b, spec, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	info, err := s.Describe(ctx)
	if err != nil {
		return err
	}
	if info.Columns != nil {
		return o.printColumns(info)
	}
	show := newProgressShow(o.Stderr)
	counter := infer.NewCounter(infer.Options{Key: info.Key})
	err = o.count(ctx, s, info, counter, show.show)
	show.end()
	if err != nil {
		return err
	}
	report := counter.Report()
	if o.Format == "json" {
		return json.NewEncoder(o.Stdout).Encode(report)
	}
	_, err = io.WriteString(o.Stdout, report.Text())
	return err
}

// count reads documents until there are enough.
func (o *InferOptions) count(ctx context.Context, s mirror.Source, info *source.Info, counter *infer.Counter, show func(progress)) (err error) {
	if err := s.Begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	rows, err := s.Scan(ctx, source.Request{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	total := info.Rows
	if !o.All && (total < 0 || total > int64(o.Sample)) {
		total = int64(o.Sample)
	}
	var batch source.Batch
	for n := 0; o.All || n < o.Sample; {
		if err := rows.Next(ctx, &batch); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for i := range batch.Docs {
			if !o.All && n >= o.Sample {
				break
			}
			counter.Add(&batch.Docs[i])
			n++
		}
		show(progress{Stage: "read " + o.Collection, Done: int64(n), Total: max(0, total), Unit: "documents"})
	}
	return nil
}

// tableColumns are the columns of a table for a machine.
type tableColumns struct {
	Database string        `json:"database"`
	Table    string        `json:"table"`
	Rows     int64         `json:"rows"` // an estimate; -1: unknown
	Key      []string      `json:"key"`
	Columns  []tableColumn `json:"columns"`
}

type tableColumn struct {
	Name   string `json:"name"`   // in the warehouse
	Path   string `json:"path"`   // at the source
	Type   string `json:"type"`   // that it would have
	Source string `json:"source"` // the source's own type
}

// printColumns prints the columns of a table: nothing is inferred there, they have types.
func (o *InferOptions) printColumns(info *source.Info) error {
	out := tableColumns{Database: o.Database, Table: o.Collection, Rows: info.Rows, Key: info.Key, Columns: []tableColumn{}}
	if out.Key == nil {
		out.Key = []string{}
	}
	names := infer.NewNamer(false)
	for _, c := range info.Columns {
		name, _ := names.Name(c.Path)
		out.Columns = append(out.Columns, tableColumn{Name: name, Path: c.Path, Type: c.Type.String(), Source: c.Source})
	}
	if o.Format == "json" {
		return json.NewEncoder(o.Stdout).Encode(out)
	}
	table := columns{header: []string{"column", "type", "in " + o.Database}}
	for _, c := range out.Columns {
		was := c.Source
		if c.Name != c.Path {
			was = c.Path + " " + was
		}
		table.add(c.Name, c.Type, was)
	}
	table.print(o.Stdout)
	key := "no key: upsert needs one under key:"
	if len(out.Key) > 0 {
		key = "key " + strings.Join(out.Key, ", ")
	}
	rows := ""
	if info.Rows >= 0 {
		rows = ", about " + countText(info.Rows) + " rows"
	}
	_, err := fmt.Fprintf(o.Stdout, "\n%s%s\n", key, rows)
	return err
}
