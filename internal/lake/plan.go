package lake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// bounded names the columns whose bounds a [File] tells; 0 where a table has no such column.
type bounded struct{ event, ts, received, log, offset int }

func boundsOf(name string) bounded {
	if name == DeadLetters {
		return bounded{ts: idDeadReceivedAt, received: idDeadReceivedAt, log: idDeadLog, offset: idDeadOffset}
	}
	return bounded{event: idEvent, ts: idTS, received: idReceivedAt, log: idLog, offset: idOffset}
}

// planner lists the files of one table. Manifests never change, so each is read once for as long as snapshots name it.
type planner struct {
	name      string
	bounds    bounded
	io        *catalog.FileIO
	manifests map[string][]*File // by path
}

func newPlanner(name string, io *catalog.FileIO) *planner {
	return &planner{name: name, bounds: boundsOf(name), io: io, manifests: map[string][]*File{}}
}

// plan returns the snapshot that the metadata calls current.
func (p *planner) plan(m table.Metadata) (*Snapshot, error) { return p.planAt(m, m.CurrentSnapshot()) }

// planAt returns one of the snapshots of the metadata; that of nil has no files.
func (p *planner) planAt(m table.Metadata, at *table.Snapshot) (*Snapshot, error) {
	positions, err := offsets(m.Properties(), positionKey)
	if err != nil {
		return nil, err
	}
	removed, err := removals(m.Properties())
	if err != nil {
		return nil, err
	}
	out := &Snapshot{Source: p.name, Positions: positions, Removed: removed}
	if at == nil {
		return out, nil
	}
	out.ID, out.Time = at.SnapshotID, microsTime(at.TimestampMs*1000)
	text, err := p.io.ReadFile(at.ManifestList)
	if err != nil {
		return nil, err
	}
	list, err := iceberg.ReadManifestList(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w", err)
	}
	known := make(map[string][]*File, len(list))
	for _, mf := range list {
		files, ok := p.manifests[mf.FilePath()]
		if !ok {
			if files, err = p.read(mf); err != nil {
				return nil, fmt.Errorf("read manifest: %w", err)
			}
		}
		known[mf.FilePath()] = files
		out.Files = append(out.Files, files...)
	}
	p.manifests = known
	for _, f := range out.Files {
		out.Rows += f.Rows
		out.Bytes += f.Bytes
	}
	return out, nil
}

func (p *planner) read(mf iceberg.ManifestFile) ([]*File, error) {
	if mf.ManifestContent() != iceberg.ManifestContentData {
		return nil, errors.New("the table has delete files, which Firth never writes")
	}
	var out []*File
	entries := iceberg.EntriesWithProjection(p.io, mf, true, iceberg.ManifestEntryProjection{IncludePruningStats: true})
	for entry, err := range entries {
		if err != nil {
			return nil, err
		}
		f, err := p.file(entry.DataFile())
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (p *planner) file(d iceberg.DataFile) (*File, error) {
	path, err := p.io.Path(d.FilePath())
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Rows: d.Count(), Bytes: d.FileSizeBytes()}
	lower, upper := d.LowerBoundValues(), d.UpperBoundValues()
	f.MinTS, f.MaxTS = numbers(lower, upper, p.bounds.ts)
	f.MinReceived, f.MaxReceived = numbers(lower, upper, p.bounds.received)
	lo, hi := numbers(lower, upper, p.bounds.offset)
	f.MinOffset, f.MaxOffset = uint64(max(lo, 0)), uint64(hi)
	f.MinLog, f.MaxLog = string(lower[p.bounds.log]), upperText(upper, p.bounds.log)
	f.MinEvent, f.MaxEvent = string(lower[p.bounds.event]), upperText(upper, p.bounds.event)
	if day, ok := d.Partition()[dayFieldID].(iceberg.Date); ok {
		f.Day = dayTime(int64(day))
	} else {
		f.Day = dayTime(dayOf(f.MinTS))
	}
	return f, nil
}

// numbers decodes the bounds of a numeric column; a missing bound bounds nothing.
func numbers(lower, upper map[int][]byte, id int) (lo, hi int64) {
	lo, hi = math.MinInt64, math.MaxInt64
	if b := lower[id]; len(b) == 8 {
		lo = int64(binary.LittleEndian.Uint64(b))
	}
	if b := upper[id]; len(b) == 8 {
		hi = int64(binary.LittleEndian.Uint64(b))
	}
	return lo, hi
}

// lastText sorts behind every text that UTF-8 can spell.
const lastText = "\xff"

func upperText(upper map[int][]byte, id int) string {
	if b, ok := upper[id]; ok {
		return string(b)
	}
	return lastText
}

// MayHold reports whether the file may have rows of the journal with from <= offset < to.
func (f *File) MayHold(log string, from, to uint64) bool {
	return f.MinLog <= log && log <= f.MaxLog && f.MaxOffset >= from && f.MinOffset < to
}

// whole reports whether the file has rows of this journal and no other, all of them with from <= offset < to.
func (f *File) whole(log string, from, to uint64) bool {
	return f.MinLog == log && f.MaxLog == log && f.MinOffset >= from && f.MaxOffset < to
}
