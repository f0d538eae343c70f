package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	driver "modernc.org/sqlite"

	"firth/internal/source"
)

// advised is an error whose hint is known where it arises.
type advised struct {
	error
	hint string
}

func (e *advised) Unwrap() error { return e.error }

func (t *Table) what() string {
	if t.spec.Table != "" {
		return t.name + " " + t.spec.Table
	}
	return t.name
}

// Codes of SQLite's results; https://www.sqlite.org/rescode.html lists them.
const (
	codeError    = 1
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIO       = 10
	codeCorrupt  = 11
	codeCantOpen = 14
	codeSchema   = 17
	codeNotADB   = 26
)

// fail wraps an error with what mends it. One that is wrapped already, and the end of the caller's own context, stay as they are.
func (t *Table) fail(op string, err error) error {
	var known *source.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s: %w", op, t.what(), err)
	}
	out := &source.Error{Op: op, Name: t.what(), Err: err}
	var hinted *advised
	var result *driver.Error
	switch {
	case errors.As(err, &hinted):
		out.Advice = hinted.hint
	case errors.Is(err, fs.ErrPermission):
		out.Advice = "let the user that firth runs as read the file and its folder"
	case errors.As(err, &result):
		t.diagnose(out, result.Code())
	}
	return out
}

func (t *Table) diagnose(out *source.Error, code int) {
	switch code & 0xff {
	case codeBusy, codeLocked:
		out.Retry, out.Advice = true, "another program holds the file locked: it is tried again; PRAGMA journal_mode = wal, set by that program, lets it be read meanwhile"
	case codeReadOnly, codeCantOpen:
		out.Advice = "let the user that firth runs as read the file; beside one in WAL mode it must also be able to write in the folder, or find its -shm and -wal files there"
	case codeIO:
		out.Retry, out.Advice = true, "the disk or network folder failed: it is tried again"
	case codeCorrupt:
		out.Advice = "the file is damaged: see PRAGMA integrity_check, and .recover of the sqlite3 command"
	case codeSchema:
		out.Retry, out.Changed, out.Advice = true, true, "the schema changed meanwhile: it is tried again"
	case codeNotADB:
		out.Advice = "the file is no SQLite database, or it is encrypted: correct the path"
	case codeError:
		out.Advice = "correct the query, or where"
		if strings.Contains(out.Err.Error(), "no such column") {
			out.Changed = true
		}
	}
}

// Check opens a file and says what it is.
func Check(ctx context.Context, address string, o source.Options) []source.Finding {
	t, err := Open(ctx, address, source.Spec{}, o)
	if err != nil {
		return []source.Finding{finding("file", err)}
	}
	defer func() { _ = t.Close() }() // it only read
	return []source.Finding{t.checkFile(ctx)}
}

// finding is an error as what was found.
func finding(what string, err error) source.Finding {
	f := source.Finding{What: what, Found: err.Error()}
	var e *source.Error
	if errors.As(err, &e) {
		f.Found, f.Hint = e.Err.Error(), e.Advice
	}
	return f
}

func (t *Table) checkFile(ctx context.Context) source.Finding {
	var tables int
	var mode string
	err := t.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'").Scan(&tables)
	if err == nil {
		err = t.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	}
	if err != nil {
		return finding("file", t.fail("open", err))
	}
	return source.Finding{What: "file", OK: true, Found: fmt.Sprintf("%s, %d tables, journal mode %s", t.path, tables, mode)}
}

// Check says what is missing before anything is read.
func (t *Table) Check(ctx context.Context) []source.Finding {
	first := t.checkFile(ctx)
	out := []source.Finding{first}
	if !first.OK {
		return out
	}
	what := "query"
	if t.spec.Query == "" {
		what = "table " + t.spec.Table
	}
	p, err := t.describe(ctx, t.querier())
	if err != nil {
		return append(out, finding(what, t.fail("read", err)))
	}
	out = append(out, source.Finding{What: what, OK: true, Found: fmt.Sprintf("%d columns", len(p.fields))})
	for _, names := range [][]string{t.spec.Columns, t.spec.Exclude} {
		for _, name := range names {
			top, _, _ := strings.Cut(name, ".")
			if p.all[name] == "" && p.all[top] == "" {
				out = append(out, source.Finding{What: "columns", Found: "there is no column " + name, Hint: p.columnNames()})
			}
		}
	}
	return out
}

func (p *plan) noColumn(name string) error {
	return &advised{fmt.Errorf("there is no column %s", name), p.columnNames()}
}

func (p *plan) columnNames() string {
	names := make([]string, 0, len(p.all))
	for n := range p.all {
		names = append(names, n)
	}
	slices.Sort(names)
	return "its columns are " + strings.Join(names[:min(len(names), 30)], ", ")
}

// missing is that there is no such table, with those that there are.
func (t *Table) missing(ctx context.Context, q querier, name string) error {
	err := fmt.Errorf("there is no table %s", name)
	rows, queryErr := q.QueryContext(ctx, namesSQL)
	if queryErr != nil {
		return errors.Join(err, queryErr)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return err
		}
		names = append(names, n)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(names) == 0 {
		return &advised{err, "the file has no tables: correct the path"}
	}
	return &advised{err, "its tables are " + strings.Join(names[:min(len(names), 30)], ", ")}
}
