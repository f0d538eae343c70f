package bench

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Sample is what a server looked like at one moment of a long run. What could not be asked for is what it was before.
type Sample struct {
	At           time.Duration `json:"at_ns"` // since the load began
	Parent       int64         `json:"parent_bytes"`
	Child        int64         `json:"child_bytes"`
	Events       float64       `json:"events"`         // acknowledged
	JournalBytes float64       `json:"journal_bytes"`  // on disk
	Waiting      float64       `json:"waiting_events"` // in the journal and not in the lake
	Rows         int64         `json:"rows"`           // in the typed tables
	Lag          time.Duration `json:"lag_ns"`         // since the time of receipt of the last row in the tables
	Files        int           `json:"files"`          // Parquet files on disk, condemned ones included
	Alive        int64         `json:"alive"`          // Parquet files of the present snapshots
}

// sampler looks at a server again and again.
type sampler struct {
	server *server
	began  time.Time
	every  time.Duration // between two looks at the processes; all else is asked for every fourth time
	report func(Sample)  // of whole looks; nil: nobody wants to know

	samples []Sample
	parquet map[string]int64 // size by path of every file that was ever seen
	missed  int              // questions that were not answered
}

// run samples until ctx ends.
func (m *sampler) run(ctx context.Context) error {
	m.parquet = map[string]int64{}
	n := 0
	_, err := poll(ctx, m.every, 24*time.Hour, func() (bool, error) {
		m.look(ctx, n%4 == 0)
		n++
		return false, nil
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// look takes one sample.
func (m *sampler) look(ctx context.Context, whole bool) {
	var x Sample
	if len(m.samples) > 0 {
		x = m.samples[len(m.samples)-1]
	}
	x.At = time.Since(m.began)
	m.memory(&x)
	if whole {
		m.ask(ctx, &x)
		if err := m.files(&x); err != nil {
			m.missed++
		}
	}
	if ctx.Err() != nil {
		return // what is missing is missing because of the end
	}
	m.samples = append(m.samples, x)
	if whole && m.report != nil {
		m.report(x)
	}
}

// memory reads the resident sets. A child that has just ended has none.
func (m *sampler) memory(x *Sample) {
	pids, err := m.server.processes()
	if err != nil {
		m.missed++
		return
	}
	if kb, err := procField(pids.parent, "status", "VmRSS:"); err == nil {
		x.Parent = kb * 1024
	}
	x.Child = 0
	for _, pid := range pids.child {
		if kb, err := procField(pid, "status", "VmRSS:"); err == nil {
			x.Child += kb * 1024
		}
	}
}

// ask reads the server's metrics and asks SQL how far the tables are.
func (m *sampler) ask(ctx context.Context, x *Sample) {
	if v, err := m.server.metrics(ctx); err == nil {
		x.Events, x.JournalBytes, x.Waiting = v["firth_events_total"], v["firth_journal_bytes"], v["firth_journal_pending_events"]
	} else {
		m.missed++
	}
	number := func(sql string, set func(int64)) {
		if n, err := m.server.count(ctx, sql); err == nil {
			set(n)
		} else if ctx.Err() == nil {
			m.missed++
		}
	}
	number("SELECT count(*) FROM "+sourceName+".tracks", func(n int64) { x.Rows = n })
	number("SELECT epoch_ms(max(loaded_through)) FROM firth.freshness WHERE source = '"+sourceName+"'", func(n int64) {
		if n > 0 {
			x.Lag = time.Since(time.UnixMilli(n))
		}
	})
	number("SELECT count(*) FROM firth.files WHERE table_name = '"+sourceName+"'", func(n int64) { x.Alive = n })
}

// files walks over the lake's data files.
func (m *sampler) files(x *Sample) error {
	x.Files = 0
	return filepath.WalkDir(filepath.Join(m.server.data, "lake", sourceName), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		x.Files++
		if info, err := d.Info(); err == nil {
			m.parquet[path] = info.Size()
		}
		return nil
	})
}

// written is the size of all data files that were ever seen.
func (m *sampler) written() int64 {
	var sum int64
	for _, n := range m.parquet {
		sum += n
	}
	return sum
}

// between returns what f takes in the samples with from <= At < to.
func between(samples []Sample, from, to time.Duration, f func(Sample) float64) []float64 {
	var out []float64
	for _, s := range samples {
		if s.At >= from && s.At < to {
			out = append(out, f(s))
		}
	}
	return out
}

// flatness is the mean of the last third of a run over that of its middle third: 1 is flat, 2 has doubled. It is 0 where there
// are fewer than three values or nothing to compare with.
func flatness(values []float64) float64 {
	third := len(values) / 3
	if third == 0 {
		return 0
	}
	middle := mean(values[third : 2*third])
	if middle == 0 {
		return 0
	}
	return mean(values[len(values)-third:]) / middle
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// slope is how much f grows a second between the first and the last of the samples with from <= At < to.
func slope(samples []Sample, from, to time.Duration, f func(Sample) float64) float64 {
	var first, last *Sample
	for i := range samples {
		s := &samples[i]
		if s.At < from || s.At >= to {
			continue
		}
		if first == nil {
			first = s
		}
		last = s
	}
	if first == nil || last.At == first.At {
		return 0
	}
	return (f(*last) - f(*first)) / (last.At - first.At).Seconds()
}
