package bench

import (
	"context"
	"errors"
	"path/filepath"
	"time"
)

// Roles of the import.
const (
	RoleArchive = "archive" // ArchiveJob, ArchiveResult: an archive is made
	RoleImport  = "import"  // ImportJob, ImportResult
)

// ArchiveJob is an archive to be made, as Segment's object storage destination writes them.
type ArchiveJob struct {
	Dir    string
	Events int // of different message ids
	Twice  int // every so many an event is written a second time; 0: never
	Days   int
	Files  int       // a day
	Start  time.Time // of the first day
}

// ArchiveResult is what was made.
type ArchiveResult struct {
	Lines int64 `json:"lines"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // packed
	Text  int64 `json:"text_bytes"`
}

// ImportJob is an archive to be imported into the lake of a data folder, without a server.
type ImportJob struct {
	Data, Source string
	Archive      string // folder
	Temp         string
}

// ImportResult is what an import came to.
type ImportResult struct {
	Lines   int64         `json:"lines"`
	Read    int64         `json:"read"`
	Added   int64         `json:"added"`
	Skipped int64         `json:"skipped"`
	Refused int64         `json:"refused"`
	Before  int64         `json:"before"` // read by an earlier run
	Files   int           `json:"files"`
	Bytes   int64         `json:"bytes"`
	Commits int           `json:"commits"`
	Took    time.Duration `json:"took_ns"`
	CPU     time.Duration `json:"cpu_ns"`
	Peak    int64         `json:"peak_bytes"` // largest resident set of the process
	// Resident is the resident set at tenths of the archive, in bytes.
	Resident []int64 `json:"resident_bytes"`
}

// ImportOptions say what to import.
type ImportOptions struct {
	Setup

	Events int
	Days   int
	Twice  int // see ArchiveJob
}

// Goals of the import.
const (
	importRate   = 100_000
	importMemory = 512 // MB
)

// Import makes an archive, imports it in a process of its own, and again, and compares what came into the lake with what was written.
func Import(ctx context.Context, o ImportOptions) (err error) {
	began := time.Now()
	b, machine, done, err := open(o.Setup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	out := &Outcome{Bench: "import", Title: "Import: an archive of gzip files with a call a line", Machine: machine}
	data, dir, temp := filepath.Join(b.dir, "data"), filepath.Join(b.dir, "archive"), filepath.Join(b.dir, "temp")
	var made ArchiveResult
	b.say("making an archive of %s events", count(float64(o.Events)))
	job := ArchiveJob{Dir: dir, Events: o.Events, Twice: o.Twice, Days: o.Days, Files: 4, Start: fillStart(o.Days + 1)}
	if err := b.call(ctx, RoleArchive, job, &made); err != nil {
		return err
	}
	out.set("%s events of %d days, one in %d written twice; %d files, %s MB packed, %s bytes a line", count(float64(o.Events)), o.Days,
		o.Twice, made.Files, count(float64(made.Bytes)/1e6), count(float64(made.Text)/float64(max(1, made.Lines))))
	var first, again ImportResult
	for _, r := range []*ImportResult{&first, &again} {
		b.say("importing it")
		if err := b.call(ctx, RoleImport, ImportJob{Data: data, Source: sourceName, Archive: dir, Temp: temp}, r); err != nil {
			return err
		}
	}
	if first.Lines != made.Lines || first.Added != int64(o.Events) || first.Skipped != made.Lines-int64(o.Events) || first.Refused != 0 {
		out.wrong("of %d lines with %d different events %d were read, %d added, %d skipped, %d refused", made.Lines, o.Events, first.Lines, first.Added, first.Skipped, first.Refused)
	}
	if again.Added != 0 || again.Before != first.Read {
		out.wrong("imported again: %d were added, %d known", again.Added, again.Before)
	}
	numbers, err := b.fingerprint(ctx, data)
	if err != nil {
		return err
	}
	if len(numbers) < 2 || numbers[0] != int64(o.Events) || numbers[1] != int64(o.Events) {
		out.wrong("the files hold %v rows and different ids, %d were written", numbers, o.Events)
	}
	importFindings(out, &first, made)
	out.addTime("the same import once more", again.Took, 0, nil)
	out.Detail = map[string]any{"archive": made, "import": first, "again": again}
	return out.print(o.Setup, began)
}

func importFindings(out *Outcome, r *ImportResult, made ArchiveResult) {
	out.add("imported", float64(r.Lines)/r.Took.Seconds(), "events/s", 0, &Goal{Value: importRate, AtLeast: true})
	out.add("  by processor time", float64(r.Lines)/r.CPU.Seconds(), "events/s", 0, nil)
	out.add("  of packed archive", float64(made.Bytes)/1e6/r.Took.Seconds(), "MB/s", 0, nil)
	out.add("memory, most", float64(r.Peak)/1e6, "MB", 0, atMost(importMemory))
	if n := len(r.Resident); n >= 4 {
		out.add("  at the end over after a quarter", float64(r.Resident[n-1])/float64(max(1, r.Resident[n/4])), "", 0, nil)
	}
	out.add("commits", float64(r.Commits), "", 0, nil)
	out.add("files", float64(r.Files), "", 0, nil)
	out.add("bytes an event", float64(r.Bytes)/float64(max(1, r.Added)), "B", 0, nil)
	out.note("a process of its own: unpack, decode, look for what is there, sort, write, sync, commit")
	out.note("memory: the largest resident set of it; at tenths of the archive, MB: %v", inMB(r.Resident))
}

func inMB(bytes []int64) []int64 {
	out := make([]int64, len(bytes))
	for i, b := range bytes {
		out[i] = b / 1e6
	}
	return out
}
