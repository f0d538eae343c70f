package redshift

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"firth/internal/event"
	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Parts are CSV, gzipped: of the forms that COPY reads it is the one whose rules leave nothing open once two things are settled. Every
// string is quoted, so commas, quotes, line ends and backslashes are data (CSV excludes ESCAPE); and NULL is a random word of this load,
// so that neither an empty string nor \N nor anything that somebody sent can be taken for it, whether or not COPY looks into quotes.
// JSON would lose the difference between numbers that are equal as floats, and Parquet columns must have the types of the table's, which
// tables of others have not.

const (
	// partBytes is about how much a part holds before compression: the nodes of a cluster read several at once.
	partBytes = 16 << 20
	// maxRow is the longest line that COPY takes, less what may be added to it.
	maxRow = 4<<20 - 4<<10
)

// staging is what one load puts into the object store.
type staging struct {
	store *object.Store
	dir   string // ends with a slash
	null  string
	keys  []string // whatever may be there
}

// newStaging names a folder that no other load has.
func (d *DB) newStaging() *staging {
	id := d.newID()
	return &staging{
		store: d.store, dir: d.instance + "/" + d.options.Now().UTC().Format("20060102T150405") + "-" + id + "/",
		null: "null-" + id,
	}
}

func (s *staging) put(ctx context.Context, name string, body []byte) (url string, err error) {
	key := s.dir + name
	// Noted first: a write that failed may have been carried out all the same.
	s.keys = append(s.keys, key)
	return s.store.URL(key), s.store.Put(ctx, key, bytes.NewReader(body), int64(len(body)))
}

// manifest lists the parts of one table for COPY; one that is missing ends it.
type manifest struct {
	Entries []manifestEntry `json:"entries"`
}

type manifestEntry struct {
	URL       string `json:"url"`
	Mandatory bool   `json:"mandatory"`
}

// partWriter writes the lines of one table into parts.
type partWriter struct {
	staging *staging
	name    string
	list    manifest
	buf     bytes.Buffer
	zip     *gzip.Writer
	raw     int
}

func (w *partWriter) write(ctx context.Context, line []byte) error {
	if w.zip == nil {
		w.buf.Reset()
		var err error
		if w.zip, err = gzip.NewWriterLevel(&w.buf, gzip.BestSpeed); err != nil {
			return err
		}
	}
	if _, err := w.zip.Write(line); err != nil {
		return err
	}
	if w.raw += len(line); w.raw >= partBytes {
		return w.flush(ctx)
	}
	return nil
}

func (w *partWriter) flush(ctx context.Context) error {
	if w.zip == nil {
		return nil
	}
	if err := w.zip.Close(); err != nil {
		return err
	}
	url, err := w.staging.put(ctx, fmt.Sprintf("%s-%04d.csv.gz", w.name, len(w.list.Entries)), w.buf.Bytes())
	if err != nil {
		return err
	}
	w.list.Entries = append(w.list.Entries, manifestEntry{url, true})
	w.zip, w.raw = nil, 0
	return nil
}

// close writes what is left and the manifest, and returns the manifest's address.
func (w *partWriter) close(ctx context.Context) (string, error) {
	if err := w.flush(ctx); err != nil {
		return "", err
	}
	body, err := json.Marshal(w.list)
	if err != nil {
		return "", err
	}
	return w.staging.put(ctx, w.name+".manifest", body)
}

// stageRows writes the rows of a target into parts, and returns what cannot be stored.
func (s *staging) stageRows(ctx context.Context, t *target, name string) ([]event.Discard, error) {
	t.stage = make([]stageColumn, len(t.fields))
	for i, f := range t.fields {
		t.stage[i] = stageColumn{kind: f.col.kind, digits: f.col.physical == "numeric"}
	}
	if len(t.batch.Rows) == 0 {
		return nil, nil
	}
	l := newLine(t, s.null)
	w := &partWriter{staging: s, name: name}
	for row := range t.batch.Rows {
		text, err := l.row(row)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", row, err)
		}
		if err := w.write(ctx, text); err != nil {
			return nil, err
		}
	}
	var err error
	t.manifest, err = w.close(ctx)
	return l.unfit, err
}

// line writes the rows of a target as lines.
type line struct {
	t     *target
	null  string
	place []int // by batch column: the place among the fields, noField or cannotStore
	cells []lineCell
	buf   []byte
	unfit []event.Discard
}

type lineCell struct {
	text string
	from int // of the row's cells
	set  bool
}

const (
	noField     = -1
	cannotStore = -2
)

func newLine(t *target, null string) *line {
	l := &line{t: t, null: null, place: make([]int, len(t.batch.Columns)), cells: make([]lineCell, len(t.fields))}
	for i := range l.place {
		l.place[i] = noField
	}
	for i, f := range t.fields {
		l.place[f.from] = i
	}
	for _, i := range t.unfit {
		l.place[i] = cannotStore
	}
	return l
}

// row returns one line; it is good until the next.
func (l *line) row(row int) ([]byte, error) {
	clear(l.cells)
	size := 0
	for i, c := range l.t.batch.Rows[row].Cells {
		at := l.place[c.Col]
		switch {
		case c.Value.Type == table.Null:
			continue
		case at == cannotStore:
			l.discard(row, i, warehouse.ReasonForeign)
			continue
		case at == noField:
			if isStamp(l.t.batch.Columns[c.Col]) {
				continue
			}
			return nil, fmt.Errorf("a value in column %s, which has no type", l.t.batch.Columns[c.Col].Name)
		}
		text, reason, err := l.t.text(&l.t.fields[at], c.Value)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", l.t.fields[at].col.name, err)
		}
		if reason != "" {
			l.discard(row, i, reason)
			continue
		}
		if text == l.null {
			return nil, fmt.Errorf("column %s holds the word that stands for NULL in this load", l.t.fields[at].col.name)
		}
		l.cells[at] = lineCell{text, i, true}
		size += len(text) + strings.Count(text, `"`) + 3
	}
	for size+len(l.cells)*(len(l.null)+1) > maxRow {
		big := l.biggest()
		size -= len(l.cells[big].text) + strings.Count(l.cells[big].text, `"`) + 3
		l.discard(row, l.cells[big].from, warehouse.ReasonTooLong)
		l.cells[big] = lineCell{}
	}
	return l.join(), nil
}

func (l *line) biggest() int {
	big := 0
	for i, c := range l.cells {
		if len(c.text) > len(l.cells[big].text) {
			big = i
		}
	}
	return big
}

func (l *line) join() []byte {
	l.buf = l.buf[:0]
	for i, c := range l.cells {
		if i > 0 {
			l.buf = append(l.buf, ',')
		}
		switch {
		case !c.set:
			l.buf = append(l.buf, l.null...)
		case l.t.fields[i].col.kind == table.String:
			l.t.stage[i].bytes = max(l.t.stage[i].bytes, len(c.text))
			l.buf = appendQuoted(l.buf, c.text)
		default:
			l.buf = append(l.buf, c.text...)
		}
	}
	return append(l.buf, '\n')
}

func appendQuoted(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		buf = append(append(buf, s[:i]...), '"', '"')
		s = s[i+1:]
	}
	return append(append(buf, s...), '"')
}

// discard lists a cell that cannot be stored.
func (l *line) discard(row, cell int, reason string) {
	b := l.t.batch
	c := b.Rows[row].Cells[cell]
	value := c.Value.String()
	if reason == warehouse.ReasonNotUTF8 {
		value = strconv.QuoteToASCII(value)
	}
	received := int64(event.NoTime)
	if v := b.Get(row, "received_at"); v.Type == table.Timestamp {
		received = v.Int64()
	}
	kind := b.Columns[c.Col].Type
	if at := l.place[c.Col]; at >= 0 {
		kind = l.t.fields[at].col.kind
	}
	l.unfit = append(l.unfit, event.Discard{
		TableName: l.t.batch.Name, ColumnName: b.Columns[c.Col].Name, Value: value, ValueType: c.Value.Type.String(), ColumnType: kind.String(),
		Reason: reason, RowID: b.Get(row, b.Columns[0].Name).String(), ReceivedAt: received,
	})
}

// storable makes a text of a discard one that can be stored: whole characters, no U+0000, not too long.
func storable(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", `\u0000`)
	if len(s) <= longest {
		return s
	}
	cut := longest
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

const (
	firstTime = -62135596800_000_000 // the year 1
	lastTime  = 253402300799_999_999 // the end of 9999
)

// timeText is a timestamp as parts hold it.
func timeText(us int64) string { return time.UnixMicro(us).UTC().Format(timeLayout) }

// staleAfter is the age at which parts are those of a process that is gone: no statement that reads them may take nearly as long.
const staleAfter = 2 * time.Hour

// discardBatch makes a table of discards.
func discardBatch(name string, list []event.Discard) *table.Batch {
	b := &table.Batch{Name: name, Columns: warehouse.DiscardColumns()}
	for _, d := range list {
		var cells []table.Cell
		for i, s := range []string{d.TableName, d.ColumnName, d.Value, d.ValueType, d.ColumnType, d.Reason, d.RowID} {
			cells = append(cells, table.Cell{Col: int32(i), Value: table.Text(storable(s))})
		}
		if d.ReceivedAt >= firstTime && d.ReceivedAt <= lastTime {
			cells = append(cells, table.Cell{Col: 7, Value: table.Time(d.ReceivedAt)})
		}
		b.Rows = append(b.Rows, table.Row{Cells: cells})
	}
	return b
}

// remove takes parts away, whatever becomes of the caller; those that stay are tried again by sweep.
func (d *DB) remove(ctx context.Context, keys []string) {
	if len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for i, key := range keys {
		if err := d.store.Delete(ctx, key); err != nil {
			d.litter = append(d.litter, keys[i:]...)
			d.options.Log.Warn("parts of a load could not be removed; it is tried again", "warehouse", d.options.Name, "error", err)
			return
		}
	}
}

// sweep removes what earlier loads left: those of this process at once, others when they are old enough to be nobody's.
func (d *DB) sweep(ctx context.Context) error {
	litter := d.litter
	d.litter = nil
	if d.remove(ctx, litter); len(d.litter) > 0 {
		return fmt.Errorf("%d parts of ended loads cannot be removed from %s", len(d.litter), d.store)
	}
	var old []string
	for o, err := range d.store.List(ctx, d.instance+"/") {
		if err != nil {
			return err
		}
		if d.options.Now().Sub(o.Modified) > staleAfter {
			old = append(old, o.Key)
		}
	}
	return d.store.Delete(ctx, old...)
}
