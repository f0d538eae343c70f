package query

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lakes is what the engine asks of the lake for statements that its views do not serve: those that ask for an old state or for files
// and, where the files are not on local disk, all that read it. It is safe for many goroutines. An *Error of it goes to the asker as
// it is.
type Lakes interface {
	// Remote reports whether the views of the lake cannot be read as they stand.
	Remote() bool
	// Tables lists the names that the lake's tables have as views, but for that of the dead letters.
	Tables(ctx context.Context) ([]string, error)
	// Snapshot lists the files of a table, named as its view or DeadLetters, as it is now or as it was.
	Snapshot(ctx context.Context, table string, at *LakeTime) ([]LakeFile, error)
	// Near reports whether files can be opened at once. It is asked only where Remote is true.
	Near(files []LakeFile) bool
	// Open makes files readable by the names that it returns, until release is called.
	Open(ctx context.Context, files []LakeFile) (names []string, release func(), err error)
	// Select is a query of all rows of a table over files of these names, which may be none.
	Select(table string, names []string) string
	// Probe is a query of three rows with a table's columns, which have their least value, their greatest and NULL.
	Probe(table string) string
}

// Deriver is what [Lakes] are besides whose tables may be made of others. An *Error of it goes to the asker as it is.
type Deriver interface {
	// Derived says how a table is made of files; nil: it is not made of another.
	Derived(ctx context.Context, table string) (*Derivation, error)
}

// Derivation is how the rows of a table come of files of another.
type Derivation struct {
	Files []LakeFile // all of which are needed, whatever the statement asks for
	// Select is a query of the table's rows, Probe one of some rows of which the engine knows nothing but their columns.
	Select func(names []string) string
	Probe  string
}

// DeadLetters is how [Lakes] call the table behind firth.dead_letters.
const DeadLetters = "firth_dead_letters"

// LakeTime is a state of a table: a snapshot, or the newest one at or before a time.
type LakeTime struct {
	Snapshot int64 // 0: by time
	Time     time.Time
}

// LakeFile is a file of the lake with the bounds of its rows. Times are Unix microseconds; the names of events may be shortened, and
// lie within the bounds still.
type LakeFile struct {
	Path                     string // by which the lake knows it
	URL                      string
	Day                      time.Time
	Rows, Bytes              int64
	MinTS, MaxTS             int64
	MinReceived, MaxReceived int64
	MinEvent, MaxEvent       string
}

// NewError is an error for the person who asked.
func NewError(code Code, hint, message string) *Error { return fail(code, hint, "%s", message) }

// statement is a text that the gate let through, as it is to be run.
type statement struct {
	text   string
	params []any
	setup  []string // makes relations that the text names, for as long as the transaction lasts
}

// lakeRef is a place of a statement that names the lake: a table, or a call of firth_files or firth_events.
type lakeRef struct {
	node   map[string]any // of the syntax tree
	call   string         // the function, or ""
	table  string         // as Lakes call it
	at     *LakeTime
	from   int64 // times of receipt, for a call
	to     int64
	shown  bool // its columns are asked for, its rows are not
	relate string
	// counted is set where it matters only how many rows there are.
	counted bool
	files   []LakeFile
	made    *Derivation // where the table is made of another
}

// lakeRun carries a statement to the relations that it reads.
type lakeRun struct {
	e      *Engine
	conn   *sql.Conn
	user   User
	params []any
	text   string
	tokens []token
	w      *walker
	refs   []*lakeRef
	known  map[string][]LakeFile
}

// lake gives a statement relations of its own where the engine's views do not serve it. What must be given back when it has been
// run is handed to done.
func (e *Engine) lake(ctx context.Context, conn *sql.Conn, user User, params []any, text string, tree any, w *walker, done func(func() error)) (statement, error) {
	plain := statement{text: text, params: params}
	r := &lakeRun{e: e, conn: conn, user: user, params: params, text: text, w: w, known: map[string][]LakeFile{}}
	if err := r.collect(); err != nil || len(r.refs) == 0 {
		return plain, err
	}
	r.tokens = tokenize(text)
	if err := r.resolve(ctx); err != nil {
		return plain, err
	}
	out, err := r.rewrite(ctx, tree)
	if err != nil {
		return plain, err
	}
	if e.lakes.Remote() && !r.near() {
		if err := r.prune(ctx, out); err != nil {
			return plain, err
		}
	}
	setup, err := r.relations(ctx, done)
	if err != nil {
		return plain, err
	}
	for _, s := range setup {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return plain, fmt.Errorf("name the lake's files: %w", err)
		}
	}
	return statement{out, r.params, setup}, nil
}

// nearFiles is how many files may be opened without asking which of them a statement needs: to ask takes the engine about as long as to open
// so many that are at hand, and it leaves out by itself what a file's footer says is not in it.
const nearFiles = 100

// near reports whether all files are few and at hand.
func (r *lakeRun) near() bool {
	var all []LakeFile
	for _, ref := range r.refs {
		if ref.call != callFiles && !ref.shown && ref.made == nil {
			all = append(all, ref.files...)
		}
	}
	return len(all) <= nearFiles && r.e.lakes.Near(all)
}

// collect finds the places that need relations of their own.
func (r *lakeRun) collect() error {
	for _, t := range r.w.tables {
		at := t.node["at_clause"]
		table := t.lakeTable()
		switch {
		case table == "" && at != nil:
			return fail(CodeFailed, "the tables of the lake have a history, for example lake.production", "%s has no history", t.name)
		case table == "", at == nil && (r.e.lakes == nil || !r.e.lakes.Remote()):
		case r.e.lakes == nil:
			return fail(CodeFailed, "", "%s has no history here", t.name)
		default:
			r.refs = append(r.refs, &lakeRef{node: t.node, table: table, shown: t.shown})
		}
	}
	for _, node := range r.w.calls {
		call, _ := node["function"].(map[string]any)
		r.refs = append(r.refs, &lakeRef{node: node, call: lower(text(call, "function_name"))})
	}
	return nil
}

// lakeTable is the table of the lake behind a name; "" where it is none.
func (t *namedTable) lakeTable() string {
	for _, r := range t.found {
		switch {
		case lower(r.catalog) == lakeCatalog:
			return r.name
		case lower(r.catalog) == firthCatalog && lower(r.name) == "dead_letters":
			return DeadLetters
		}
	}
	return ""
}

// resolve works out what is asked for: snapshots, spans of time, files.
func (r *lakeRun) resolve(ctx context.Context) error {
	for _, ref := range r.refs {
		var err error
		if ref.call != "" {
			err = r.arguments(ctx, ref)
		} else if clause, ok := ref.node["at_clause"].(map[string]any); ok {
			err = r.asOf(ctx, ref, clause)
		}
		if err == nil {
			err = r.derived(ctx, ref)
		}
		if err != nil {
			return err
		}
		if ref.made != nil {
			continue
		}
		key := ref.table
		if ref.at != nil {
			key = fmt.Sprintf("%s@%d@%d", ref.table, ref.at.Snapshot, ref.at.Time.UnixMicro())
		}
		files, ok := r.known[key] // a statement sees one state of a table
		if !ok {
			if files, err = r.e.lakes.Snapshot(ctx, ref.table, ref.at); err != nil {
				return err
			}
			r.known[key] = files
		}
		ref.files = files
		if ref.call != "" {
			ref.files = received(files, ref.from, ref.to)
		}
	}
	return nil
}

// derived finds out how a table is made of another, if it is.
func (r *lakeRun) derived(ctx context.Context, ref *lakeRef) error {
	d, ok := r.e.lakes.(Deriver)
	if !ok {
		return nil
	}
	made, err := d.Derived(ctx, ref.table)
	switch {
	case err != nil || made == nil:
		return err
	case ref.at != nil:
		return fail(CodeFailed, "ask its source AT the time, with the statement of the table: lake.derived."+ref.table+".merge_sql", "lake.%s has no history: it is made of another table", ref.table)
	case ref.call != "":
		return fail(CodeFailed, "call "+ref.call+" with its source", "lake.%s has no files of events: it is made of another table", ref.table)
	}
	ref.made, ref.files = made, made.Files
	return nil
}

// received are the files that may hold rows received in [from, to).
func received(files []LakeFile, from, to int64) []LakeFile {
	var out []LakeFile
	for i := range files {
		if files[i].MaxReceived >= from && files[i].MinReceived < to {
			out = append(out, files[i])
		}
	}
	return out
}

// relations are the statements that make what the rewritten text names. The files stay where they are until done is through.
func (r *lakeRun) relations(ctx context.Context, done func(func() error)) ([]string, error) {
	var all []LakeFile
	at := map[string]int{}
	for _, ref := range r.refs {
		if !ref.reads() {
			continue
		}
		for i := range ref.files {
			if _, ok := at[ref.files[i].Path]; !ok {
				at[ref.files[i].Path] = len(all)
				all = append(all, ref.files[i])
			}
		}
	}
	names, release, err := r.e.lakes.Open(ctx, all)
	if err != nil {
		return nil, err
	}
	done(func() error { release(); return nil })
	var setup []string
	for _, ref := range r.refs {
		var own []string
		if ref.reads() {
			for i := range ref.files {
				own = append(own, names[at[ref.files[i].Path]])
			}
		}
		setup = append(setup, "CREATE TEMP VIEW "+quoted(ref.relate)+" AS "+r.relation(ref, own))
	}
	return setup, nil
}

// reads says whether files are opened for it.
func (ref *lakeRef) reads() bool { return ref.call != callFiles && !ref.shown && !ref.counted }

func (r *lakeRun) relation(ref *lakeRef, names []string) string {
	if ref.made != nil {
		return ref.made.Select(names)
	}
	if ref.counted {
		rows := int64(0)
		for i := range ref.files {
			rows += ref.files[i].Rows
		}
		return "SELECT none.* FROM range(" + strconv.FormatInt(rows, 10) + ") LEFT JOIN (" + r.e.lakes.Select(ref.table, nil) + ") AS none ON false"
	}
	switch ref.call {
	case callFiles:
		return filesSelect(ref.files)
	case callEvents:
		return "FROM (" + r.e.lakes.Select(ref.table, names) + ") WHERE received_at >= " + instantText(ref.from) + " AND received_at < " + instantText(ref.to)
	default:
		return r.e.lakes.Select(ref.table, names)
	}
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// instantText is a time as SQL.
func instantText(micros int64) string {
	switch micros {
	case farPast:
		return "TIMESTAMPTZ '-infinity'"
	case farFuture:
		return "TIMESTAMPTZ 'infinity'"
	}
	return "make_timestamptz(" + strconv.FormatInt(micros, 10) + ")"
}

// filesSelect is what firth_files returns, oldest day first.
func filesSelect(files []LakeFile) string {
	const columns = "path, url, day, rows, bytes, min_ts, max_ts, min_received_at, max_received_at"
	if len(files) == 0 {
		return "SELECT NULL::VARCHAR AS path, NULL::VARCHAR AS url, NULL::DATE AS day, NULL::BIGINT AS rows, NULL::BIGINT AS bytes, NULL::TIMESTAMPTZ AS min_ts," +
			" NULL::TIMESTAMPTZ AS max_ts, NULL::TIMESTAMPTZ AS min_received_at, NULL::TIMESTAMPTZ AS max_received_at WHERE false"
	}
	var b strings.Builder
	b.WriteString("SELECT * FROM (VALUES ")
	for i := range files {
		f := &files[i]
		if i > 0 {
			b.WriteString(", ")
		}
		path := f.URL // a file that is elsewhere has no path here
		if strings.HasPrefix(f.URL, "file:") {
			path = f.Path
		}
		fmt.Fprintf(&b, "(%s, %s, DATE '%s', %d::BIGINT, %d::BIGINT, %s, %s, %s, %s)", literal(path), literal(f.URL), f.Day.Format(time.DateOnly), f.Rows, f.Bytes,
			boundText(f.MinTS), boundText(f.MaxTS), boundText(f.MinReceived), boundText(f.MaxReceived))
	}
	b.WriteString(") AS f(" + columns + ") ORDER BY day, min_received_at, path")
	return b.String()
}

// boundText is a bound as SQL; NULL where there is none.
func boundText(micros int64) string {
	if micros == farPast || micros == farFuture {
		return "NULL::TIMESTAMPTZ"
	}
	return instantText(micros)
}
