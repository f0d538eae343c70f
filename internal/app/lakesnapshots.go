package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"firth/internal/lake"
)

// lakeSnapshot is one commit of a table as firth lake snapshots lists it.
type lakeSnapshot struct {
	Table      string    `json:"table"`
	ID         string    `json:"id"` // a number beyond what JSON's readers hold exactly
	Parent     string    `json:"parent,omitempty"`
	Time       time.Time `json:"time"`
	What       string    `json:"what"` // flush, merge, retention, or Iceberg's word for something else
	Current    bool      `json:"current"`
	AddedFiles int64     `json:"added_files"`
	AddedRows  int64     `json:"added_rows"`
	GoneFiles  int64     `json:"removed_files"`
	GoneRows   int64     `json:"removed_rows"`
	Duplicates int64     `json:"duplicates"`
	Files      int64     `json:"files"`
	Rows       int64     `json:"rows"`
	Bytes      int64     `json:"bytes"`
	From       uint64    `json:"from_offset,omitempty"` // of the journal, for a flush
	To         uint64    `json:"to_offset,omitempty"`
}

// LakeSnapshots lists the snapshots of the lake's tables, newest first. It only reads.
func LakeSnapshots(ctx context.Context, o LakeOptions) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	reader, err := o.openReader(ctx)
	if err != nil {
		return err
	}
	list, err := o.listSnapshots(ctx, reader)
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	if o.Output == "json" {
		return json.NewEncoder(o.Stdout).Encode(list)
	}
	printSnapshots(o.Stdout, list, o.now())
	return nil
}

func (o *LakeOptions) listSnapshots(ctx context.Context, reader *lake.Reader) ([]lakeSnapshot, error) {
	names, err := o.tables(ctx, reader)
	if err != nil {
		return nil, err
	}
	out := []lakeSnapshot{}
	for _, name := range names {
		history, err := reader.History(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("list snapshots of %s: %w", name, err)
		}
		for i := range history {
			out = append(out, snapshotLine(name, &history[i]))
		}
	}
	return out, nil
}

func snapshotLine(table string, s *lake.SnapshotInfo) lakeSnapshot {
	id := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	what := s.Operation
	switch {
	case s.To > 0:
		what = "flush"
	case s.Operation == "replace", s.Operation == "overwrite":
		what = "merge"
	case s.KeptFrom != "":
		what = "retention"
	}
	return lakeSnapshot{
		Table: table, ID: id(s.ID), Parent: id(s.Parent), Time: s.Time.UTC(), What: what, Current: s.Current,
		AddedFiles: s.AddedFiles, AddedRows: s.AddedRows, GoneFiles: s.RemovedFiles, GoneRows: s.RemovedRows, Duplicates: s.Duplicates,
		Files: s.Files, Rows: s.Rows, Bytes: s.Bytes, From: s.From, To: s.To,
	}
}

func printSnapshots(w io.Writer, list []lakeSnapshot, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no snapshots: nothing was written yet")
		return
	}
	table := columns{header: []string{"table", "snapshot", "as of", ">age", "what", ">files", ">rows", ">now files", ">rows", ">bytes"}}
	change := func(added, gone int64) string {
		switch {
		case gone == 0:
			return "+" + countText(added)
		case added == 0:
			return "-" + countText(gone)
		}
		return "+" + countText(added) + " -" + countText(gone)
	}
	for _, s := range list {
		what := s.What
		if s.Duplicates > 0 {
			what += " (" + countText(s.Duplicates) + " duplicates)"
		}
		table.add(s.Table, s.ID, receivedText(s.Time), spanText(now.Sub(s.Time)), what, change(s.AddedFiles, s.GoneFiles), change(s.AddedRows, s.GoneRows),
			countText(s.Files), countText(s.Rows), sizeText(s.Bytes))
	}
	table.print(w)
	name := "lake." + list[0].Table
	if list[0].Table == lake.DeadLetters {
		name = "firth.dead_letters"
	}
	fmt.Fprintln(w, "\nIn SQL: FROM "+name+" FOR VERSION AS OF "+list[0].ID+", or AS OF '"+receivedText(list[0].Time)+
		"' for the newest snapshot at or before a time.")
}
