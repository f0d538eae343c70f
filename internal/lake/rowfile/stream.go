package rowfile

import (
	"fmt"
	"io"
)

// NewLargeWriter returns a writer of files that are large and stay as they are: its pages are large.
func NewLargeWriter[T any](t *Table[T]) *Writer[T] { return newWriter(t, pageBytes) }

// Begin starts a file whose rows come in several calls of [Writer.Group], all in the table's order.
func (w *Writer[T]) Begin(out io.Writer) {
	if w.begun { // and never ended
		w.writer = w.fresh()
	}
	w.writer.Reset(out)
	w.begun = true
	w.stats = newStats(w.table, 0)
}

// Group writes one row group, of [RowsPerGroup] rows at most. The rows may be changed afterwards.
func (w *Writer[T]) Group(rows []*T) error {
	for i, cw := range w.writer.ColumnWriters() {
		c := &w.table.columns[i]
		for at := 0; at < len(rows); {
			n := c.batch(rows[at:])
			w.values = c.appendValues(w.values[:0], i, rows[at:at+n], &w.stats.Columns[i])
			at += n
			if _, err := cw.WriteRowValues(w.values); err != nil {
				return fmt.Errorf("write column %s: %w", c.Name, err)
			}
		}
	}
	w.stats.Rows += int64(len(rows))
	if err := w.writer.Flush(); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	return nil
}

// detach takes out of the footer what the library shares with every other file of the writer, the names and the order of the columns: it
// overwrites them when it forgets the footer (parquet-go 0.32.0, writer.reset), and the files that follow would have columns without names, which
// Spark and Trino refuse.
func (w *Writer[T]) detach() {
	groups := w.writer.File().Metadata().RowGroups
	for i := range groups {
		groups[i].SortingColumns = nil
		for j := range groups[i].Columns {
			groups[i].Columns[j].MetaData.PathInSchema = nil
		}
	}
}

// End writes the footer and says what the file holds.
func (w *Writer[T]) End() (*Stats, error) {
	if err := w.writer.Close(); err != nil {
		return nil, fmt.Errorf("write footer: %w", err)
	}
	w.stats.addFooter(w.writer.File())
	w.detach()
	w.begun = false
	clear(w.values[:cap(w.values)]) // lets go of the rows
	return w.stats, nil
}
