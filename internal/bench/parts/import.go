package parts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"

	"firth/internal/archive"
	"firth/internal/bench"
	"firth/internal/event"
	"firth/internal/lake"
)

// What the heap of an import aims to stay under, and how far it may grow before it is collected, as in the command.
const (
	importHeap    = 400 << 20
	importGarbage = 40 // per cent
)

// makeArchive writes the events of the job.
func makeArchive(ctx context.Context, job bench.ArchiveJob) (out bench.ArchiveResult, err error) {
	if job.Events < 1 || job.Days < 1 || job.Files < 1 {
		return out, fmt.Errorf("an archive of %d events, %d days, %d files a day: all must be at least 1", job.Events, job.Days, job.Files)
	}
	bodies := bench.NewBodies(min(bodySize, max(2, job.Events)), 1, 0)
	m := &archiveMaker{job: job, bodies: bodies}
	files := job.Days * job.Files
	for i := range files {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		day := job.Start.AddDate(0, 0, i/job.Files)
		path := filepath.Join(job.Dir, "segment-logs", "bench", strconv.FormatInt(day.UnixMilli(), 10), fmt.Sprintf("%d.gz", i%job.Files))
		n, size, err := m.file(path, day.Add(time.Duration(i%job.Files)*24*time.Hour/time.Duration(job.Files)), job.Events*(i+1)/files-job.Events*i/files)
		if err != nil {
			return out, err
		}
		out.Lines += n
		out.Bytes += size
	}
	out.Files, out.Text = files, m.text
	return out, nil
}

// archiveMaker makes lines of the events that the load generator sends.
type archiveMaker struct {
	job     bench.ArchiveJob
	bodies  *bench.Bodies
	decoder event.Decoder
	made    int
	text    int64
}

func (m *archiveMaker) file(path string, begin time.Time, events int) (lines, size int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return 0, 0, err
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return 0, 0, err
	}
	out := bufio.NewWriterSize(z, 256<<10)
	span := 24 * time.Hour / time.Duration(m.job.Files)
	var line []byte
	for left := events; left > 0; {
		at := begin.Add(time.Duration(float64(events-left) / float64(events) * float64(span)))
		request := event.Request{Body: m.bodies.Next(at)}
		err := m.decoder.Decode(&request, "", 0, at.UnixMicro(), func(c *event.Call) error {
			if left == 0 {
				return nil
			}
			left--
			m.made++
			line = archiveLine(line[:0], c, at)
			for n := 0; n == 0 || n == 1 && m.job.Twice > 0 && m.made%m.job.Twice == 0; n++ {
				lines++
				m.text += int64(len(line))
				if _, err := out.Write(line); err != nil {
					return err
				}
			}
			return nil
		}, func(d *event.DeadLetter) error { return fmt.Errorf("the generator made no event: %s", d.Reason) })
		if err != nil {
			return lines, 0, err
		}
	}
	if err := errors.Join(out.Flush(), z.Close()); err != nil {
		return lines, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return lines, 0, err
	}
	return lines, info.Size(), nil
}

// archiveLine is a call with the times that a destination is given.
func archiveLine(dst []byte, c *event.Call, received time.Time) []byte {
	const layout = "2006-01-02T15:04:05.000Z"
	dst = append(dst, bytes.TrimSuffix(bytes.TrimSpace(c.Payload), []byte{'}'})...)
	for i, name := range [...]string{"receivedAt", "sentAt", "originalTimestamp", "timestamp"} {
		at := received.UTC().Add(-time.Duration(i) * 100 * time.Millisecond)
		if i == 3 {
			at = received.UTC().Add(-200 * time.Millisecond)
		}
		dst = append(at.AppendFormat(append(append(append(dst, `,"`...), name...), `":"`...), layout), '"')
	}
	return append(dst, "}\n"...)
}

// importArchive imports the archive of the job.
func importArchive(ctx context.Context, job bench.ImportJob) (out bench.ImportResult, err error) {
	debug.SetMemoryLimit(importHeap)
	debug.SetGCPercent(importGarbage)
	o := lakeOptions(job.Data)
	if err := errors.Join(os.MkdirAll(o.Dir, 0o750), os.MkdirAll(o.Window, 0o750), os.MkdirAll(job.Temp, 0o750)); err != nil {
		return out, err
	}
	l, err := lake.Open(ctx, o)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	began, cpu := time.Now(), cpuTime()
	a, err := archive.Open(ctx, job.Archive)
	if err != nil {
		return out, err
	}
	r, err := l.Import(ctx, lake.ImportOptions{Archive: a, Source: job.Source, Temp: job.Temp}, func(p lake.ImportProgress) {
		if p.Read*10 >= p.Bytes*int64(len(out.Resident)+1) {
			out.Resident = append(out.Resident, resident())
		}
	})
	if err != nil {
		return out, err
	}
	out.Took, out.CPU, out.Peak = time.Since(began), cpuTime()-cpu, peak()
	out.Lines, out.Read, out.Added, out.Skipped, out.Refused = r.Lines, r.Read, r.Added, r.Skipped, r.Refused
	out.Files, out.Bytes, out.Commits = r.FilesMade, r.BytesMade, r.Commits
	if r.Before != nil {
		out.Before = r.Before.Read
	}
	return out, nil
}
