package app

import (
	"errors"
	"io"
	"time"

	"firth/internal/journal"
)

// outcomeFull is the code of the tracking API's answer while the journal is full.
const outcomeFull = "journal_full"

// backlog looks at what waits for the lake.
func (p *parent) backlog() backlog {
	j, w := p.journal.Stats(), p.writer.Stats()
	b := backlog{
		Used: j.Bytes, Budget: j.MaxBytes, Refusal: j.Err, RefusalHint: j.Hint, Past: j.Refused,
		Lake: p.writer.State(), Flush: w.FlushTime, Every: time.Duration(p.cfg.Lake.Flush.Every),
	}
	for outcome, n := range p.collect.Metrics().Requests() {
		if outcome == outcomeFull {
			b.Refused = n
		}
	}
	position := max(w.Position, j.Oldest)
	if j.Next <= position {
		return b
	}
	b.Events = j.Next - position
	if received, ok := p.oldest(position); ok {
		b.Lag = max(0, p.now().Sub(received))
	}
	return b
}

// upstream is what the answering half is told of this one.
func (p *parent) upstream() upstream {
	b, m := p.backlog(), p.merger.Stats()
	u := upstream{FlushLagSeconds: b.Lag.Seconds(), PendingEvents: int64(b.Events), MergeWaitingFiles: m.WaitingFiles, MergeWaitingRows: m.WaitingRows}
	if !m.OldestWaiting.IsZero() {
		u.OldestUnmerged = m.OldestWaiting.UnixMicro()
	}
	return u
}

// oldest is when the oldest record that is not in the lake was received. Where the lake's writer has not come to it yet, which is
// when the lake cannot be opened, the journal is asked, once for each position.
func (p *parent) oldest(position uint64) (time.Time, bool) {
	if received, ok := p.lag.oldest(position); ok {
		return received, true
	}
	reader := p.journal.Read(position)
	frame, err := reader.Next()
	if cerr := reader.Close(); cerr != nil && err == nil {
		err = cerr
	}
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, journal.ErrTrimmed) {
			p.log.Debug("the oldest record of the journal cannot be read", "error", err)
		}
		return time.Time{}, false
	}
	p.lag.note(frame.Offset, frame.ReceivedAt)
	return time.UnixMicro(frame.ReceivedAt), true
}
