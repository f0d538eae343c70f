package lake

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// ImportArchive is what is imported: files of lines, one call each, in an order that never changes. It serves one import.
type ImportArchive interface {
	// Identity tells archives apart: the same for the same files in the same order, another where one was added or has changed.
	Identity() []byte
	// Files is how many files there are, Name what people call one, Day when its events were received as its place says, in Unix
	// microseconds (event.NoTime: it does not say).
	Files() int
	Name(file int) string
	Day(file int) int64
	// Walk hands fn the lines of the files from first on, from one goroutine at a time: text is good until fn returns, line counts from
	// 1 within the file. Where a file or a line is damaged fault says so in words, and text is what is left of it. An error is one that
	// passes, such as that of a store, or that of fn: nothing is known of what comes behind.
	Walk(ctx context.Context, first int, fn func(file int, line int64, text []byte, fault error) error) error
	// Bytes is the size of all files, Read how much of it has been read; both are safe to call beside Walk.
	Bytes() int64
	Read() int64
}

// Defaults of [ImportOptions].
const (
	DefaultImportMemory = 160 << 20
	DefaultImportStep   = 512 << 10
)

// ImportOptions say what is imported and how. The zero value of an optional field stands for its default.
type ImportOptions struct {
	Archive ImportArchive
	Source  string // table that the events come into; it is made where it is missing

	From, To time.Time // only what was received in [From, To); zero: open
	Keep     time.Duration
	IPPolicy uint8 // event.IPKeep and so on
	DryRun   bool  // count, and write nothing

	Step      int    // lines that become one commit
	FileBytes int64  // where a file of a day ends and another begins
	Memory    int64  // about how much the import may take
	Temp      string // folder for what does not fit into it; empty: the system's
	Nice      int    // niceness of the threads; 0 leaves it as it is
}

func (o ImportOptions) withDefaults() ImportOptions {
	o.Step = or(o.Step, DefaultImportStep)
	o.FileBytes = or(o.FileBytes, DefaultLargeBytes)
	o.Memory = or(o.Memory, DefaultImportMemory)
	return o
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	File        string // that is being read
	Read, Bytes int64  // of the archive
	Lines       int64  // read by this run
	Added       int64  // committed by this run
	Took        time.Duration
}

// importSpace makes the UUIDs of imports.
var importSpace = uuid.MustParse("6f1dbe7c-4c13-5a0e-9d8d-7c0f6f0a51ce")

// importLog is the UUID under which what is imported stands in the lake: offsets within it count the lines.
func (o *ImportOptions) log() string {
	b := append([]byte(nil), o.Archive.Identity()...)
	b = fmt.Appendf(b, "\x00%s\x00%d\x00%d", o.Source, moment(o.From), moment(o.To))
	return uuid.NewSHA1(importSpace, b).String()
}

func moment(t time.Time) int64 {
	if t.IsZero() {
		return event.NoTime
	}
	return t.UnixMicro()
}

// Import brings the events of an archive into a table, while the lake is written, merged and tended, and read.
//
// Events keep their own times, see [event.Decoder.Archived]. They stand under a log of their own, whose UUID follows from the archive,
// the source and the span; the offset of an event is the number of its line. So loaders take them in by positions. Every step commits
// its rows and the position at once; an import that was ended anywhere goes on behind its last commit when it is called again, and adds
// nothing when it was done.
//
// An event is there already, and skipped, when a row of the table or an earlier line has its message id and happened on the same day
// (UTC) or within ten minutes of it. What cannot be taken becomes a dead letter that names file and line.
//
// Progress, when set, is called now and then from one goroutine. One import of a source runs at a time.
func (l *Lake) Import(ctx context.Context, o ImportOptions, progress func(ImportProgress)) (*ImportReport, error) {
	o = o.withDefaults()
	im := &importing{l: l, o: o, log: o.log(), progress: progress, began: l.o.Now(), filter: newImportFilter(o.Memory / 10), blooms: newBloomCache(),
		spare: make(chan []importID, importBuffers)}
	im.report = newImportReport(&o, im.log)
	if err := im.open(ctx); err != nil {
		return nil, fmt.Errorf("import into %s: %w", o.Source, err)
	}
	err := im.run(ctx)
	im.report.Took = l.o.Now().Sub(im.began)
	if err != nil {
		return nil, fmt.Errorf("import into %s: %w", o.Source, err)
	}
	return im.report.finish(), nil
}

// importing is one run of an import.
type importing struct {
	l        *Lake
	o        ImportOptions
	log      string
	progress func(ImportProgress)
	began    time.Time

	// Owned by the goroutine that writes, once it runs.
	store   *store
	dead    *store
	letters knownLetters
	filter  *importFilter
	blooms  *bloomCache
	writer  *rowfile.Writer[event.Call]
	deadOut *rowfile.Writer[event.DeadLetter]
	group   importGroup
	report  *ImportReport
	added   atomic.Int64 // also read by the goroutine that reads

	spare chan []importID // memory of steps that are done, for those that begin

	// position is the first offset that the tables do not have, start where reading begins.
	position uint64
	start    importState
}

// open finds out where the import goes on.
func (im *importing) open(ctx context.Context) (err error) {
	tables, err := im.l.catalog.Tables(ctx)
	if err != nil {
		return err
	}
	if _, ok := tables[im.o.Source]; !ok && im.o.DryRun {
		return nil // everything would be new
	}
	if im.store, err = im.l.store(ctx, im.o.Source); err != nil {
		return err
	}
	if im.dead, err = im.l.store(ctx, DeadLetters); err != nil {
		return err
	}
	im.writer, im.deadOut = rowfile.NewLargeWriter(im.l.calls), rowfile.NewWriter(im.l.dead)
	if im.o.DryRun {
		return nil
	}
	if im.position, err = im.store.position(im.log); err != nil {
		return err
	}
	im.start, err = readImportState(im.store.current().Properties()[importKey+im.log])
	im.report.resume(im.position, im.start)
	return err
}

// run reads and writes beside each other: while one step is written the next is read.
func (im *importing) run(ctx context.Context) error {
	if im.start.Done {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	steps := make(chan *importStep)
	free := make(chan *importRun, importBuffers)
	for range importBuffers {
		free <- newImportRun(int(im.o.Memory / importRunShare))
	}
	var wait sync.WaitGroup
	var readErr, writeErr error
	wait.Go(func() {
		im.thread(func() {
			r := &importReader{im: im, steps: steps, free: free}
			readErr = r.readAll(ctx)
		})
		close(steps)
	})
	wait.Go(func() {
		im.thread(func() {
			for step := range steps {
				if writeErr == nil {
					if writeErr = im.write(ctx, step); writeErr != nil {
						cancel(writeErr)
					}
				}
				writeErr = errors.Join(writeErr, step.close(free))
				select {
				case im.spare <- step.ids[:0]:
				default:
				}
			}
		})
	})
	wait.Wait()
	if writeErr != nil {
		return writeErr
	}
	return readErr
}

// importBuffers is how many runs are in memory: one that is being filled, one that is being written.
const importBuffers = 2

// importRunShare is the part of the memory that one run takes.
const importRunShare = 6

// thread gives the calling goroutine a thread of low priority, which ends with the goroutine.
func (im *importing) thread(run func()) {
	if im.o.Nice > 0 {
		runtime.LockOSThread()
		if err := beNice(im.o.Nice); err != nil {
			im.l.o.Log.Warn("import at normal priority", "error", err)
		}
	}
	run()
}

// tell shows progress, from the goroutine that reads.
func (im *importing) tell(file int, lines int64, added int64) {
	if im.progress == nil {
		return
	}
	p := ImportProgress{Read: im.o.Archive.Read(), Bytes: im.o.Archive.Bytes(), Lines: lines, Added: added, Took: im.l.o.Now().Sub(im.began)}
	if file < im.o.Archive.Files() {
		p.File = im.o.Archive.Name(file)
	}
	im.progress(p)
}

// importKey, followed by the UUID of an import: where it goes on, as JSON.
const importKey = "firth.import."

// noteImported is in the summary of an import's snapshots: how many lines they cover.
const noteImported = "firth.imported"

func offsetText(n uint64) string { return strconv.FormatUint(n, 10) }
