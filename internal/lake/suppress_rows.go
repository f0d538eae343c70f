package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/apache/iceberg-go"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// keep takes a restored file for the table's, without the rows of people who are suppressed.
func (r *restore) keep(ctx context.Context, t *restoring, f *File, d iceberg.DataFile) error {
	gone, err := r.l.suppressedRows(t.Name, f)
	if err != nil {
		return fmt.Errorf("look for suppressed rows in %s: %w", f.Path, err)
	}
	if len(gone) == 0 {
		t.landed = append(t.landed, d)
		return nil
	}
	p := &purge{l: r.l, m: &Merger{l: r.l, o: MergeOptions{}.withDefaults()}}
	var file *newFile
	if t.Name == DeadLetters {
		file, d, err = rewriteFile(ctx, p, t.store, r.l.dead, f, gone)
	} else {
		file, d, err = rewriteFile(ctx, p, t.store, r.l.calls, f, gone)
	}
	if err != nil {
		return fmt.Errorf("leave out suppressed rows of %s: %w", f.Path, err)
	}
	last := len(t.files) - 1
	whole := t.files[last]
	t.files = t.files[:last]
	if file != nil {
		t.files, t.landed = append(t.files, file), append(t.landed, d)
	}
	return whole.discard()
}

// suppressedRows are the rows of a file that belong to suppressed people, in ascending order.
func (l *Lake) suppressedRows(table string, f *File) (rows []int64, err error) {
	if l.suppress.empty() {
		return nil, nil
	}
	handle, err := l.o.FS.OpenFile(f.Path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	if table == DeadLetters {
		file, err := rowfile.Open(l.dead, handle, f.Bytes)
		if err != nil {
			return nil, err
		}
		row := int64(0)
		err = file.Scan(rowfile.Scan{Columns: []string{"source", "payload"}}, nil, func(d *event.DeadLetter) error {
			if l.suppressedLetter(d, true) {
				rows = append(rows, row)
			}
			row++
			return nil
		})
		return rows, err
	}
	in, err := rowfile.OpenInput(l.calls, handle, f.Bytes)
	if err != nil {
		return nil, err
	}
	return l.suppressedCalls(table, in)
}

func (l *Lake) suppressedCalls(table string, in *rowfile.Input) ([]int64, error) {
	found := map[int64]bool{}
	take := func(ask func(text string) asked) func(int64, []byte, int64, bool) error {
		return func(row int64, text []byte, _ int64, ok bool) error {
			if ok && l.suppress.holds(ask(string(text))) {
				found[row] = true
			}
			return nil
		}
	}
	err := errors.Join(
		in.Each("user_id", take(func(id string) asked { return asked{source: table, user: id, always: true} })),
		in.Each("anonymous_id", take(func(id string) asked { return asked{source: table, anonymous: id, always: true} })))
	if err != nil {
		return nil, err
	}
	var aliases []int64
	err = in.Find("type", [][]byte{[]byte("alias")}, func(row int64, _ []byte) error {
		aliases = append(aliases, row)
		return nil
	})
	slices.Sort(aliases)
	if err == nil {
		err = in.Pick(colPayload, aliases, func(row int64, text []byte, _ int64, _ bool) error {
			if l.suppress.holds(asked{source: table, previous: previousIDs(text), always: true}) {
				found[row] = true
			}
			return nil
		})
	}
	rows := make([]int64, 0, len(found))
	for row := range found {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows, err
}
