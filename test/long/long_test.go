// Package long lets the real server run with everything at work at once, and reads all the while: flushes, both mergers, expiry,
// retention, sweeper, loads and SQL.
package long

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
)

// length is FIRTH_LONG, or the short form.
func length(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("FIRTH_LONG"))
	if err != nil || d <= 0 {
		d = 20 * time.Second
	}
	t.Logf("FIRTH_LONG=%s", d)
	return d
}

const patience = 2 * time.Minute

// config keeps events for two days; queries over more rows take longer, and so does the sweeper's grace.
func config(d time.Duration) string {
	deadline := max(4*time.Second, min(d/20, 30*time.Second))
	return fmt.Sprintf(`
sources:
  long: { write_key: long-key }
lake:
  flush: { every: 200ms }
  merge: { small: { every: 300ms }, large: { every: 1s } }
  keep: 48h
  grace: %s
query: { deadline: %s }
`, deadline+time.Second, deadline)
}

func TestEverythingAtOnce(t *testing.T) {
	d := length(t)
	s := rig.New(t, config(d))
	s.Start()
	fresh := rig.NewLoad(s, "long", "long-key", 4, 1)
	fresh.Resend, fresh.Pause = 0.1, 10*time.Millisecond
	fresh.Start()
	r := &readers{s: s, load: fresh}
	stop := r.start(t)
	old := retention(t, s, time.Now().Add(d))
	fresh.Stop()
	stop()
	if t.Failed() {
		return
	}
	t.Logf("%d events, and %d of a day that was dropped again and again; %d right answers, %d refused or not in time; %s",
		fresh.Acked(), old.Acked(), r.right.Load(), r.late.Load(), figures(t, s))
	if r.right.Load() < 10 {
		t.Error("hardly anything was read")
	}
	fresh.Settle(patience)
	old.SettleIn(patience, rig.Tracks, rig.Events)
	clean(t, s, fresh)
}

// retention sends events of a day that is to be dropped, lets it be dropped once the typed tables have it, and so on until a
// moment. What the lake has of other days must not change thereby.
func retention(t *testing.T, s *rig.Server, until time.Time) *rig.Load {
	t.Helper()
	old := rig.NewNamedLoad(s, "old", "long", "long-key", 1, 2)
	old.Age, old.Pause = 5*24*time.Hour, 10*time.Millisecond
	for time.Now().Before(until) && !t.Failed() {
		old.Start()
		time.Sleep(300 * time.Millisecond)
		old.Stop()
		old.SettleIn(patience, rig.Tracks)
		if _, err := s.Run("lake", "expire"); err != nil {
			t.Fatal(err)
		}
		s.Eventually(patience, "the old day to be gone", func() error {
			n, err := s.Count(`SELECT count(*) FROM lake.long WHERE message_id LIKE 'old%'`)
			if err == nil && n > 0 {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		})
	}
	return old
}

// readers ask over and over again what there is.
type readers struct {
	s           *rig.Server
	load        *rig.Load
	right, late atomic.Int64
}

// start begins a reader for each relation and returns what ends them.
func (r *readers) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, relation := range []string{rig.Lake, rig.Tracks, rig.Events} {
		all.Go(func() {
			if err := r.read(ctx, relation); err != nil {
				t.Errorf("%s: %v", relation, err)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// read returns the first wrong answer: one that [rig.Load.See] refuses, that has less than an earlier one, or more than was sent.
func (r *readers) read(ctx context.Context, relation string) error {
	before := map[string]rig.Seen{}
	for ctx.Err() == nil {
		seen, err := r.load.See(relation)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "unknown_table") && len(before) == 0:
			time.Sleep(50 * time.Millisecond)
			continue // until the first events are there
		case unanswered(err):
			r.late.Add(1)
			time.Sleep(50 * time.Millisecond)
			continue
		default:
			return err
		}
		sent := r.load.SentBy()
		for name, now := range seen {
			if now.Rows < before[name].Rows || now.Rows > sent[name] {
				return fmt.Errorf("%d rows of %s, where there were %d before and %d were sent", now.Rows, name, before[name].Rows, sent[name])
			}
		}
		for name := range before {
			if _, ok := seen[name]; !ok {
				return fmt.Errorf("the rows of %s are gone", name)
			}
		}
		maps.Copy(before, seen)
		r.right.Add(1)
	}
	return nil
}

// unanswered reports whether the server said that it could not answer now or in time, which is no wrong answer.
func unanswered(err error) bool {
	if wrong := (*rig.WrongError)(nil); errors.As(err, &wrong) {
		return false
	}
	for _, status := range []string{"408 ", "429 ", "503 "} {
		if strings.HasPrefix(err.Error(), status) {
			return true
		}
	}
	return false
}

// figures say that everything was at work; what was not is an error.
func figures(t *testing.T, s *rig.Server) string {
	t.Helper()
	var out []string
	for _, name := range []string{
		"firth_lake_flushes_total", "firth_merges_total", "firth_merge_files_total", "firth_tend_dropped_rows_total", "firth_tend_swept_files_total", "firth_merge_write_amplification",
	} {
		var n float64
		s.Eventually(patience, name, func() (err error) {
			if n, err = s.Metric(name); err == nil && n == 0 {
				err = errors.New("none")
			}
			return err
		})
		out = append(out, fmt.Sprintf("%s %.4g", name, n))
	}
	return strings.Join(out, ", ")
}

// clean checks what is left on disk once nothing more is merged: no orphan, nothing missing, the rows of the input.
func clean(t *testing.T, s *rig.Server, l *rig.Load) {
	t.Helper()
	s.Eventually(patience, "the lake to be clean", func() error {
		found, err := audit.Read(t.Context(), s.Data)
		if err != nil {
			return err
		}
		if len(found.Orphans)+len(found.Missing) > 0 || found.Rows["long"] != int64(l.Acked()) {
			return fmt.Errorf("%s, %d rows of %d; orphans %v, missing %v", found, found.Rows["long"], l.Acked(), found.Orphans, found.Missing)
		}
		t.Log(found)
		return nil
	})
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
