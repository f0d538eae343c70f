// Package crash kills the real server and its child at random moments under load, and counts.
package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"firth/test/rig"
)

const config = `
sources:
  crash: { write_key: crash-key }
lake:
  flush: { every: 200ms }
`

// rounds is FIRTH_CRASH_ROUNDS, or the short form.
func rounds(short int) int {
	if n, err := strconv.Atoi(os.Getenv("FIRTH_CRASH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return short
}

// load sends batches until the context ends. Ids that got a 200 are acknowledged; a batch without an answer is sent again with
// the same ids, as every SDK does.
type load struct {
	mu    sync.Mutex
	acked int
	next  int
}

func (l *load) batch() (first int, body []byte) {
	l.mu.Lock()
	first = l.next
	l.next += 10
	l.mu.Unlock()
	var b strings.Builder
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	fmt.Fprintf(&b, `{"sentAt":%q,"batch":[`, now)
	for i := range 10 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"track","event":"Thing %d","messageId":"m-%d","userId":"u-%d","timestamp":%q,"properties":{"n":%d,"ratio":%d.5}}`,
			(first+i)%7, first+i, (first+i)%50, now, first+i, i)
	}
	b.WriteString("]}")
	return first, []byte(b.String())
}

func (l *load) run(ctx context.Context, s *rig.Server) {
	for ctx.Err() == nil {
		_, body := l.batch()
		for {
			status, _, err := s.Post(context.WithoutCancel(ctx), "/v1/batch", "crash-key", body)
			if err == nil && status == 200 {
				l.mu.Lock()
				l.acked += 10
				l.mu.Unlock()
				break
			}
			if err == nil && status != 429 && status != 503 {
				panic(fmt.Sprintf("the server answered %d", status))
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// TestKillUnderLoad: every event that was answered 200 is in the lake and in the typed tables exactly once, whoever was killed.
func TestKillUnderLoad(t *testing.T) {
	s := rig.New(t, config)
	s.Start()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &load{}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { l.run(ctx, s) })
	}
	for round := range rounds(6) {
		time.Sleep(time.Duration(100+random.IntN(1200)) * time.Millisecond)
		if random.IntN(2) == 0 {
			s.Kill()
			s.Start()
			continue
		}
		if pid := s.ChildPID(); pid > 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	cancel()
	senders.Wait()
	t.Logf("%d events acknowledged", l.acked)
	settle(t, s, l)
	if code := s.Stop(); code != 0 {
		t.Errorf("the last stop ended with exit code %d", code)
	}
	s.Start()
	settle(t, s, l)
}

// settle waits until lake and tables hold what was acknowledged, once, and checks the single event tables too.
func settle(t *testing.T, s *rig.Server, l *load) {
	t.Helper()
	questions := map[string]string{
		"lake":        `SELECT count(*) FROM lake.crash`,
		"lake ids":    `SELECT count(DISTINCT message_id) FROM lake.crash`,
		"tracks":      `SELECT count(*) FROM crash.tracks`,
		"tracks ids":  `SELECT count(DISTINCT id) FROM crash.tracks`,
		"event table": `SELECT sum(c)::BIGINT FROM (SELECT count(*) c FROM crash.thing_0 UNION ALL SELECT count(*) FROM crash.thing_1 UNION ALL SELECT count(*) FROM crash.thing_2 UNION ALL SELECT count(*) FROM crash.thing_3 UNION ALL SELECT count(*) FROM crash.thing_4 UNION ALL SELECT count(*) FROM crash.thing_5 UNION ALL SELECT count(*) FROM crash.thing_6)`,
		"values":      `SELECT count(*) FROM crash.thing_3 WHERE id = 'm-' || n`,
	}
	for what, sql := range questions {
		want := l.acked
		if what == "values" {
			want = 0
			for i := range l.acked {
				if i%7 == 3 {
					want++
				}
			}
		}
		s.Eventually(60*time.Second, what, func() error {
			n, err := s.Count(sql)
			if err == nil && n != want {
				err = fmt.Errorf("%d rows, want %d", n, want)
			}
			return err
		})
	}
	if n, err := s.Count(`SELECT count(*) FROM firth.dead_letters`); err != nil || n != 0 {
		t.Errorf("dead letters: %d, %v", n, err)
	}
}
