package bench

import (
	"strings"
	"time"
)

// Roles that work on a lake or an engine directly, in processes of their own so that processor time and memory are theirs alone.
// They are served by the package parts.
const (
	RoleFill  = "fill"  // FillJob, FillResult
	RoleMerge = "merge" // MergeJob, MergeResult
	RoleCopy  = "copy"  // CopyJob, MergeResult
	RoleAsk   = "ask"   // AskJob, then an AskQuestion and an AskAnswer in turn
	RolePlan  = "plan"  // PlanJob, PlanResult
	RoleInto  = "into"  // IntoJob, IntoResult: the loader into a Postgres
	RolePipe  = "pipe"  // IntoJob, IntoResult: the same rows by COPY alone

	RoleMirrorFill = "mirror-fill" // MirrorJob, MirrorResult: what is to be mirrored
	RoleMirrorPipe = "mirror-pipe" // MirrorJob, MirrorResult: the same rows by a bare pipe
	RoleMirror     = "mirror"      // MirrorJob, MirrorResult
	RoleMirrorDocs = "mirror-docs" // prints documents; the variable FIRTH_BENCH_DOCS says how many
)

// FillJob is events to be brought into a lake by its own writer, as flushes do it, without a server.
type FillJob struct {
	Data     string    // data folder, laid out as a server's
	Source   string    // table
	Log      string    // UUID that the rows' journal is said to have; the same one goes on with the offset First
	First    uint64    // offset of the first event
	Events   int       // how many
	PerFlush int       // events a flush
	Start    time.Time // when the first event was received; later fills of a source begin later
	Span     time.Duration
	Salt     uint64 // makes the message ids differ from those of other fills
	Kinds    int    // different events; 0: as many as the load generator sends
	Lake     string // s3:// URL of the lake, whose cache is in the data folder; empty: in the data folder
}

// FillResult is what a fill came to.
type FillResult struct {
	Rows    int64           `json:"rows"`
	Files   int64           `json:"files"`
	Bytes   int64           `json:"bytes"` // of Parquet
	Took    time.Duration   `json:"took_ns"`
	CPU     time.Duration   `json:"cpu_ns"`
	Flushes []time.Duration `json:"flushes_ns"` // each: decode, write, commit, trim
}

// MergeJob is a table to be merged until nothing is left to merge.
type MergeJob struct {
	Data, Source string
	LargeBytes   int64  // size that files are brought up to; 0: the default
	Memory       int64  // bound of one merge; 0: the default
	Temp         string // folder to spill to
}

// CopyJob is the same files to be sorted and written by DuckDB.
type CopyJob struct {
	Data, Source string
	Out          string // file to be written; its folder must exist
	Memory       int64  // limit of the engine
	Threads      int    // 0: one a processor
}

// MergeResult is what a merge or a copy came to.
type MergeResult struct {
	Rows     int64         `json:"rows"` // read
	Took     time.Duration `json:"took_ns"`
	CPU      time.Duration `json:"cpu_ns"`
	Peak     int64         `json:"peak_bytes"` // largest resident set of the process
	FilesIn  int           `json:"files_in"`
	FilesOut int           `json:"files_out"` // of the table afterwards, or of the copy
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"` // of those files
	Merges   int           `json:"merges"`
	Written  int64         `json:"written"` // by all merges together
	RowsOut  int64         `json:"rows_out"`
}

// AskJob is an engine that answers questions about a table's files.
type AskJob struct {
	Data, Source string
	Dir          string // of the engine's own file and spill
	Memory       int64  // 0: the default of the embedded warehouse
	Threads      int    // 0: one a processor
}

// AskQuestion is one statement. %FILES% in it stands for read_parquet over the files of the table's present snapshot.
type AskQuestion struct {
	SQL string
}

// AskAnswer is the second column of the rows, whole numbers all, and how long it took.
type AskAnswer struct {
	Numbers []int64       `json:"numbers"`
	Took    time.Duration `json:"took_ns"`
	Files   int           `json:"files"`
	Error   string        `json:"error,omitempty"`
}

// PlanJob is a table with many commits and files.
type PlanJob struct {
	Data, Source string
	Rounds       int // of planning anew
}

// PlanResult is how long planning took.
type PlanResult struct {
	Files     int             `json:"files"`
	Anew      []time.Duration `json:"anew_ns"`      // by a reader that has never seen the table
	AnewCPU   time.Duration   `json:"anew_cpu_ns"`  // of all rounds
	Unchanged time.Duration   `json:"unchanged_ns"` // by a reader that knows the present snapshot
	Metadata  int64           `json:"metadata_bytes"`
}

// IntoJob is a table of the lake to be loaded into a database of Postgres that has nothing of it yet.
type IntoJob struct {
	Data, Source string
	URL          string
	Temp         string // folder
}

// IntoResult is what a load, or the bare copy of its rows, came to.
type IntoResult struct {
	Calls  int64         `json:"calls"`
	Rows   int64         `json:"rows"` // of all tables together
	Bytes  int64         `json:"bytes"`
	Tables int           `json:"tables"`
	Took   time.Duration `json:"took_ns"`
	CPU    time.Duration `json:"cpu_ns"`     // of this process, the database's not counted
	Peak   int64         `json:"peak_bytes"` // largest resident set of this process
}

// Bodies makes bodies of batch calls, the same traffic that the load generator sends.
type Bodies struct {
	requests []*request
	patch    *patcher
	next     int
}

// NewBodies makes bodies of batch events each, of so many kinds (0: those of the load generator). Fills that differ in salt have no
// message id in common.
func NewBodies(batch int, salt uint64, kinds int) *Bodies {
	c := newCorpus(corpusSeed)
	if kinds > 0 {
		c = newCorpusOf(corpusSeed, kinds)
	}
	return &Bodies{requests: requestsOf(c, "127.0.0.1:80", writeKey, max(2, batch), 16), patch: newPatcher(mix(salt + 1))}
}

// Next returns a new body sent at the given time. It is good until as many more have been asked for as there are templates.
func (b *Bodies) Next(now time.Time) []byte {
	r := b.requests[b.next]
	b.next = (b.next + 1) % len(b.requests)
	b.patch.patch(r, now)
	return r.bytes[headLength(r.bytes):]
}

// planEvent is the most frequent event that has the property plan, and its table.
func planEvent() (event, table string) {
	c := newCorpus(corpusSeed)
	for i, name := range c.names {
		for _, p := range c.props[i] {
			if p.name == "plan" {
				return name, strings.ReplaceAll(strings.ToLower(name), " ", "_")
			}
		}
	}
	return "", ""
}
