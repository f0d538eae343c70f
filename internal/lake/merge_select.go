package lake

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// unit is one merge to be made: files of one day of a table, in the order in which their rows were received.
type unit struct {
	store *store
	day   int64
	files []*File
	left  int // files of all days that something is to be done for, with these
}

// Rules of what is merged. A row is written again only into a file that is at least twice as large as the one it comes from, so
// that a file is not written anew and again for a few rows more; a day that still grows waits until a merge pays.
const (
	hotFor    = time.Hour // since the last row of a day was received, it may grow
	hotFiles  = 8         // that many small files of a growing day are merged at once, or more
	sizeTiers = 4         // of small files, each eight times as large as the one below
	tierRatio = 8

	bytesPerKey = 72       // what a row costs while the order is worked out
	keysShare   = 4        // of the budget
	fixedMemory = 40 << 20 // what a merge takes in any case: packers, unpackers, pages in their hands
)

// budget is what of a merge's memory is for its rows.
func (o *MergeOptions) budget() int64 { return max(o.Memory-fixedMemory, o.Memory/4) }

// maxRows bounds a merge by what its keys take.
func (o *MergeOptions) maxRows() int64 { return max(1024, o.budget()/keysShare/bytesPerKey) }

// next chooses what to merge next: the newest day first for small files, the oldest first for large ones.
func (m *Merger) next(ctx context.Context, kind MergeKind, source string, byHand bool) (unit, error) {
	tables, err := m.l.catalog.Tables(ctx)
	if err != nil {
		return unit{}, err
	}
	var best unit
	var all []*File
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if source != "" && name != source {
			continue
		}
		s, err := m.l.store(ctx, name)
		if err != nil {
			return unit{}, err
		}
		snap, err := s.snapshot()
		if err != nil {
			return unit{}, err
		}
		days := m.days(snap.Files)
		for _, day := range slices.Sorted(maps.Keys(days)) {
			files := m.pick(days[day], kind, byHand)
			if len(files) == 0 {
				continue
			}
			waiting := below(days[day], 0, m.o.SmallBytes)
			if byHand && kind != MergeSmall {
				waiting = below(days[day], 0, m.o.LargeBytes)
			}
			all = append(all, waiting...)
			if best.store == nil || kind == MergeSmall && day > best.day || kind != MergeSmall && day < best.day {
				best = unit{store: s, day: day, files: files}
			}
		}
	}
	best.left = len(all)
	m.waits(kind, source, all)
	return best, nil
}

// days sorts files by day, and those of a day by when their rows were received.
func (m *Merger) days(files []*File) map[int64][]*File {
	m.mu.Lock()
	defer m.mu.Unlock()
	days := map[int64][]*File{}
	for _, f := range files {
		if _, bad := m.damaged[f.Path]; bad || f.Rows > m.o.maxRows() {
			continue
		}
		day := f.Day.Unix() / (24 * 60 * 60)
		days[day] = append(days[day], f)
	}
	for _, of := range days {
		slices.SortFunc(of, func(a, b *File) int {
			return cmp.Or(cmp.Compare(a.MinReceived, b.MinReceived), cmp.Compare(a.MinOffset, b.MinOffset), cmp.Compare(a.Path, b.Path))
		})
	}
	return days
}

// pick chooses the files of a day that a merger makes one of, none when there is nothing to gain.
func (m *Merger) pick(files []*File, kind MergeKind, byHand bool) []*File {
	newest := int64(0)
	for _, f := range files {
		newest = max(newest, f.MaxReceived)
	}
	hot := newest > m.l.o.Now().Add(-hotFor).UnixMicro()
	switch {
	case byHand:
		size := m.o.LargeBytes
		if kind == MergeSmall {
			size = m.o.SmallBytes
		}
		all := below(files, 0, size)
		if of := m.adjacent(all, grows); of != nil {
			return of
		}
		return m.adjacent(all, func([]*File) bool { return true })
	case kind == MergeSmall && hot:
		size := m.o.SmallBytes
		for range sizeTiers - 1 {
			size /= tierRatio
		}
		for ; size <= m.o.SmallBytes; size *= tierRatio {
			limit := size
			if limit*tierRatio > m.o.SmallBytes {
				limit = m.o.SmallBytes
			}
			if out := m.adjacent(below(files, 0, limit), func(of []*File) bool { return len(of) >= hotFiles && grows(of) }); out != nil {
				return out
			}
		}
		return nil
	case kind == MergeSmall:
		return m.adjacent(below(files, 0, m.o.SmallBytes), grows)
	case hot:
		return m.adjacent(below(files, m.o.SmallBytes, m.o.LargeBytes/2), func(of []*File) bool {
			return bytesOf(of) >= m.o.LargeBytes/2 && grows(of)
		})
	default:
		return m.adjacent(below(files, 0, m.o.LargeBytes), grows)
	}
}

func below(files []*File, from, to int64) []*File {
	var out []*File
	for _, f := range files {
		if f.Bytes >= from && f.Bytes < to {
			out = append(out, f)
		}
	}
	return out
}

func bytesOf(files []*File) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// grows reports whether every row comes into a file at least twice as large as its own.
func grows(files []*File) bool {
	largest := int64(0)
	for _, f := range files {
		largest = max(largest, f.Bytes)
	}
	return largest <= bytesOf(files)-largest
}

// adjacent returns the first files that follow one another, as many as one merge takes, that are good to merge. Where the largest of
// them is what is not good, they are tried without it.
func (m *Merger) adjacent(files []*File, good func([]*File) bool) []*File {
	for start := range files {
		var bytes, rows int64
		end := start
		for ; end < len(files) && end-start < m.o.SmallFiles; end++ {
			bytes += files[end].Bytes
			rows += files[end].Rows
			if bytes > m.o.LargeBytes || rows > m.o.maxRows() {
				break
			}
		}
		of := slices.Clone(files[start:end])
		for len(of) > 1 {
			if good(of) {
				return of
			}
			largest := 0
			for i, f := range of {
				if f.Bytes > of[largest].Bytes {
					largest = i
				}
			}
			of = slices.Delete(of, largest, largest+1)
		}
	}
	return nil
}

// exclude leaves files alone from now on that cannot be merged.
func (m *Merger) exclude(files []*File, err error) {
	var d Damage
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range files {
		if !errors.As(err, &d) || d.Path == f.Path {
			m.damaged[f.Path] = err.Error()
		}
	}
}
