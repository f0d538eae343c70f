package lake

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/internal/event"
)

// lines is an archive in memory: files of lines.
type lines struct {
	id    string
	files [][]string
	day   int64
}

func (a *lines) Identity() []byte  { return []byte(a.id) }
func (a *lines) Files() int        { return len(a.files) }
func (a *lines) Name(i int) string { return fmt.Sprintf("%s/%d.gz", a.id, i) }
func (a *lines) Day(int) int64     { return a.day }
func (a *lines) Bytes() int64      { return 1 }
func (a *lines) Read() int64       { return 0 }
func (a *lines) Walk(ctx context.Context, first int, fn func(int, int64, []byte, error) error) error {
	for i := first; i < len(a.files); i++ {
		for n, text := range a.files[i] {
			if err := ctx.Err(); err != nil {
				return err
			}
			var fault error
			if strings.HasPrefix(text, "fault ") {
				fault = errors.New(text)
			}
			if err := fn(i, int64(n+1), []byte(text), fault); err != nil {
				return err
			}
		}
	}
	return nil
}

// archivedLine is a call as a destination wrote it.
func archivedLine(id, event string, ts time.Time) string {
	at := ts.UTC().Format("2006-01-02T15:04:05.000Z")
	return fmt.Sprintf(`{"type":"track","event":%q,"messageId":%q,"userId":"u-%s","originalTimestamp":%q,"sentAt":%q,"timestamp":%q,"receivedAt":%q,"properties":{"n":1},"context":{"ip":"10.1.2.3"},"channel":"server"}`,
		event, id, id, at, at, at, ts.Add(2*time.Second).UTC().Format("2006-01-02T15:04:05.000Z"))
}

func (e *lakeEnv) imports(o ImportOptions) (*ImportReport, error) {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		return nil, err
	}
	o.Source = cmp.Or(o.Source, "production")
	o.Temp = cmp.Or(o.Temp, e.t.TempDir())
	r, err := l.Import(context.Background(), o, nil)
	return r, errors.Join(err, l.Close())
}

func (e *lakeEnv) mustImport(o ImportOptions) *ImportReport {
	e.t.Helper()
	r, err := e.imports(o)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func TestImportKeepsWhatTheLineSays(t *testing.T) {
	e := newEnv(t)
	line := `{"messageId":"m1","type":"track","event":"Signed Up","userId":"u","timestamp":"2021-03-04T05:06:07.008Z","originalTimestamp":"2021-03-04T06:06:07.008Z",` +
		`"sentAt":"2021-03-04T06:06:08.008Z","receivedAt":"2021-03-04T05:06:09.010Z","properties":{"a":1},"context":{"ip":"1.2.3.4"}}`
	r := e.mustImport(ImportOptions{Archive: &lines{id: "a", files: [][]string{{line}}}})
	if r.Added != 1 || r.Refused != 0 || r.Days[0].Day != "2021-03-04" || r.Types["track"].Added != 1 {
		t.Fatalf("%+v", r)
	}
	rows := e.rows("production")
	if len(rows) != 1 {
		t.Fatal(rows)
	}
	c := rows[0]
	us := func(s string) int64 { v, _ := event.ParseTime(s); return v }
	want := event.Call{
		MessageID: "m1", Type: "track", Event: "Signed Up", UserID: "u", TS: us("2021-03-04T05:06:07.008Z"), ReceivedAt: us("2021-03-04T05:06:09.010Z"),
		SentAt: us("2021-03-04T06:06:08.008Z"), OriginalTimestamp: us("2021-03-04T06:06:07.008Z"),
		Properties: []byte(`{"a":1}`), Context: []byte(`{"ip":"1.2.3.4"}`), Payload: []byte(line), Log: r.Log,
	}
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", c, want)
	}
}

func TestImportTwiceAddsNothing(t *testing.T) {
	e := newEnv(t)
	day := time.Date(2022, 5, 6, 7, 0, 0, 0, time.UTC)
	first := &lines{id: "a", files: [][]string{{archivedLine("1", "A", day), archivedLine("2", "A", day), "no event"}, {archivedLine("2", "A", day.Add(time.Second))}}}
	r := e.mustImport(ImportOptions{Archive: first})
	if r.Added != 2 || r.Skipped != 1 || r.Refused != 1 || r.Reasons[event.ReasonMalformedJSON] != 1 {
		t.Fatalf("%+v", r)
	}
	again := e.mustImport(ImportOptions{Archive: first})
	if again.Lines != 0 || again.Before == nil || again.Before.Added != 2 || again.Before.Refused != 1 {
		t.Fatalf("%+v", again)
	}
	// The same archive with a file more is another import, and adds what is new.
	more := &lines{id: "a", files: append(slices.Clone(first.files), []string{archivedLine("3", "B", day)})}
	moreID := *more
	moreID.id = "a" // names stay
	r = e.mustImport(ImportOptions{Archive: &renamed{&moreID}})
	if r.Added != 1 || r.Skipped != 3 || r.Refused != 1 {
		t.Fatalf("%+v", r)
	}
	if n := len(e.rows("production")); n != 3 {
		t.Errorf("%d rows", n)
	}
	if n := e.deadLetters(); n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

// renamed has another identity.
type renamed struct{ *lines }

func (r *renamed) Identity() []byte { return append(r.lines.Identity(), " more"...) }

// deadLetters counts them.
func (e *lakeEnv) deadLetters() int64 {
	e.t.Helper()
	r, err := openReader(context.Background(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	snap, err := r.Snapshot(context.Background(), DeadLetters)
	if err != nil {
		e.t.Fatal(err)
	}
	return snap.Rows
}

func TestImportBesideLiveTraffic(t *testing.T) {
	e := newEnv(t)
	now := time.Now().UTC().Truncate(time.Second)
	var calls []*event.Call
	for i := range 50 {
		calls = append(calls, &event.Call{
			MessageID: fmt.Sprint("m", i), Type: "track", Event: "A", UserID: "u", TS: now.UnixMicro(), ReceivedAt: now.UnixMicro(),
			SentAt: event.NoTime, OriginalTimestamp: event.NoTime, Payload: []byte("{}"),
		})
	}
	e.journal.calls("production", calls...)
	e.mustDrain()
	var text []string
	for i := 25; i < 75; i++ {
		text = append(text, archivedLine(fmt.Sprint("m", i), "A", now.Add(-3*time.Second)))
	}
	r := e.mustImport(ImportOptions{Archive: &lines{id: "a", files: [][]string{text}}})
	if r.Added != 25 || r.Skipped != 25 {
		t.Fatalf("%+v", r)
	}
	// And what was imported is not taken again when it comes by the door.
	for i := range calls {
		calls[i].MessageID = fmt.Sprint("m", 40+i)
	}
	e.journal.calls("production", calls...)
	e.mustDrain()
	if n := len(e.rows("production")); n != 90 {
		t.Errorf("%d rows, want 90", n)
	}
}

// oracle keeps the first of each event.
func oracle(all []event.Call, more []event.Call) []event.Call {
	for _, c := range more {
		if !slices.ContainsFunc(all, func(o event.Call) bool { return o.MessageID == c.MessageID && sameEvent(o.TS, c.TS) }) {
			all = append(all, c)
		}
	}
	return all
}

// TestImportIsAsAnOracleSays imports archives with many doubles, cut into steps and runs of all sizes, one after the other.
func TestImportIsAsAnOracleSays(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			e := newEnv(t)
			var want []event.Call
			for n := range 3 {
				a, calls, bad := randomArchive(r, fmt.Sprint("archive", n))
				o := ImportOptions{Archive: a, Step: 1 + r.IntN(400), Memory: int64(20_000 + r.IntN(200_000)), FileBytes: int64(1 + r.IntN(100_000))}
				rep := e.mustImport(o)
				before := len(want)
				want = oracle(want, calls)
				if rep.Added != int64(len(want)-before) || rep.Read != int64(len(calls)) || rep.Refused != bad || rep.Skipped != rep.Read-rep.Added {
					t.Fatalf("import %d: %+v, want %d of %d added, %d refused", n, rep, len(want)-before, len(calls), bad)
				}
			}
			compareRows(t, e.rows("production"), want)
		})
	}
}

func randomArchive(r *rand.Rand, id string) (a *lines, calls []event.Call, bad int64) {
	a = &lines{id: id}
	begin := time.Date(2023, 1, 1, 22, 0, 0, 0, time.UTC)
	for range 1 + r.IntN(5) {
		var file []string
		for range r.IntN(400) {
			switch r.IntN(40) {
			case 0:
				file = append(file, "{broken")
				bad++
				continue
			case 1:
				file = append(file, "fault of the file")
				bad++
				continue
			}
			at := begin.Add(time.Duration(r.IntN(4*24*60)) * time.Minute)
			message, name := fmt.Sprint("m", r.IntN(300)), string(rune('A'+r.IntN(5)))
			file = append(file, archivedLine(message, name, at))
			calls = append(calls, event.Call{MessageID: message, Event: name, TS: at.UnixMicro()})
		}
		a.files = append(a.files, file)
	}
	return a, calls, bad
}

func compareRows(t *testing.T, got, want []event.Call) {
	t.Helper()
	key := func(c event.Call) string { return fmt.Sprint(c.MessageID, " ", c.Event, " ", c.TS) }
	var a, b []string
	for _, c := range got {
		a = append(a, key(c))
	}
	for _, c := range want {
		b = append(b, key(c))
	}
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("%d rows, want %d", len(a), len(b))
	}
}

// killEnv tells a child of the test binary at which step it is to be killed, and in which folder.
const killEnv = "FIRTH_TEST_IMPORT_KILL"

// killed is the archive of the kill test.
func killed() *lines {
	a, _, _ := killedArchive()
	return a
}

// killedArchive has a few hundred lines.
func killedArchive() (*lines, []event.Call, int64) {
	r := rand.New(rand.NewPCG(5, 5))
	for {
		if a, calls, bad := randomArchive(r, "killed"); len(a.files) > 1 && len(calls) > 200 && len(calls) < 400 && bad > 2 {
			return a, calls, bad
		}
	}
}

func killedOptions(temp string) ImportOptions {
	return ImportOptions{Archive: killed(), Source: "production", Step: 250, Memory: 60_000, Temp: temp}
}

// TestImportChild is not a test: it is what is killed.
func TestImportChild(t *testing.T) {
	at, dir, ok := strings.Cut(os.Getenv(killEnv), " ")
	if !ok {
		t.Skip("run by TestImportIsKilledAtEachStep")
	}
	left, err := strconv.Atoi(at)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Catalog: filepath.Join(dir, "catalog.db"), Dir: filepath.Join(dir, "lake"), Window: filepath.Join(dir, "window")}
	counting := false
	o.step = func(string) error {
		if counting {
			if left--; left == 0 {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
		return nil
	}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	counting = true
	if _, err := l.Import(t.Context(), killedOptions(dir), nil); err != nil {
		t.Fatal(err)
	}
	closeIt(t, l)
}

func TestImportIsKilledAtEachStep(t *testing.T) {
	_, calls, bad := killedArchive()
	want := oracle(nil, calls)
	finished := false
	for step := 1; !finished; step++ {
		e := newEnv(t)
		child := exec.Command(os.Args[0], "-test.run=^TestImportChild$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", killEnv, step, e.dir))
		out, err := child.CombinedOutput()
		var exit *exec.ExitError
		if finished = err == nil && bytes.Contains(out, []byte("PASS")); !finished && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
		r := e.mustImport(killedOptions(e.dir))
		if before := r.Before; before != nil {
			r.add(*before)
		}
		if r.Added != int64(len(want)) || r.Refused != bad || r.Read != int64(len(calls)) {
			t.Errorf("step %d: %+v", step, r)
		}
		compareRows(t, e.rows("production"), want)
		if n := e.deadLetters(); n != bad {
			t.Errorf("step %d: %d dead letters, want %d", step, n, bad)
		}
	}
}
