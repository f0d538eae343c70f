package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/state"
	"firth/internal/warehouse"
)

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/firth/firth.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const mirrorsText = `
warehouses: { pg: { type: postgres, url: "postgres://u:geheim@h/d" } }
databases:
  app: { type: mongodb, url: "mongodb://u:geheim@h/d" }
  usage: { type: redis, url: "redis://h" }
  users: { type: postgres, url: "postgres://u:geheim@h/users" }
mirrors:
  people:
    from: { database: users, table: people, columns: [id, {name: email, as: mail, mask: hash}, {name: note, mask: drop}], exclude: [password] }
    into: { warehouse: pg, table: People }
    mode: upsert
    key: id
    types: { id: int32, other: text }
    salt: s
    every: 15m
  orders:
    from: { database: app, collection: orders, filter: { b: 1, a: 2 } }
    columns: { total: decimal }
    arrays: { items: table }
  usage:
    list: { database: app, collection: projects, id: _id, every: 8h }
    get: { database: usage, columns: { calls: { string: "calls:{id}", type: integer }, members: { set: "m:{id}" } }, cron: "@hourly" }
  code:
    into: { schema: s }
    from: { exec: [./a.py, x], columns: [id] }
`

func TestMirrorsAsTheEngineWantsThem(t *testing.T) {
	cfg := parsed(t, mirrorsText)
	people := mirrorConfig(cfg, "people")
	if people.Table != (warehouse.MirrorTable{Name: "people", Schema: "users", Table: "people"}) || people.Mode != mirror.ModeUpsert || !people.Only || people.Salt != "s" {
		t.Errorf("people: %+v", people)
	}
	columns, exclude := people.Selection()
	if !slices.Equal(columns, []string{"id", "email"}) || !slices.Equal(exclude, []string{"password", "note"}) {
		t.Errorf("columns %q, exclude %q", columns, exclude)
	}
	if len(people.Columns) != 3 || people.Columns[0].Type == nil || people.Columns[0].Type.String() != "int32" || people.Columns[1].As != "mail" {
		t.Errorf("rules: %+v", people.Columns)
	}
	orders := mirrorConfig(cfg, "orders")
	if orders.Only || !slices.Equal(orders.Tables, []string{"items"}) || orders.Columns[0].Type.String() != "decimal" || orders.Columns[1].Arrays != "table" {
		t.Errorf("orders: %+v", orders)
	}
	usage := mirrorConfig(cfg, "usage")
	if usage.Mode != "" || usage.Missing != mirror.MissingNull || usage.Settings == "" || usage.Settings == orders.Settings {
		t.Errorf("usage: %+v", usage)
	}
	m := cfg.Mirrors["usage"]
	spec := blockSpec(cfg, &m, &usage, m.Get)
	if len(spec.Fields) != 2 || spec.Fields[0].Name != "calls" || spec.Fields[0].Spec.String != "calls:{id}" || spec.Fields[1].Spec.Set != "m:{id}" {
		t.Errorf("get: %+v", spec)
	}
	code, c := cfg.Mirrors["code"], mirrorConfig(cfg, "code")
	if spec := blockSpec(cfg, &code, &c, code.From); spec.Dir != "/etc/firth" || !slices.Equal(spec.Exec, []string{"./a.py", "x"}) {
		t.Errorf("exec: %+v", spec)
	}
	if whenText(&m) != "list every 8h, get cron @hourly" || sourceText(&m) != "mongodb/redis" {
		t.Errorf("%s, %s", whenText(&m), sourceText(&m))
	}
	if got := mirrorSchemas(cfg, "pg"); !slices.Equal(got, []string{"users"}) {
		t.Errorf("schemas: %q", got)
	}
}

func TestSettingsTellNoSecretAndChangeWithWhatIsRead(t *testing.T) {
	first := mirrorConfig(parsed(t, mirrorsText), "people").Settings
	for _, change := range []struct {
		from, to string
		same     bool
	}{
		{"@h/users", "@other/users", false}, {"table: people,", "table: persons,", false}, {"geheim@h/users", "neu@h/users", true}, {"every: 15m", "every: 1h", true},
	} {
		got := mirrorConfig(parsed(t, strings.Replace(mirrorsText, change.from, change.to, 1)), "people").Settings
		if (got == first) != change.same {
			t.Errorf("%s -> %s: %s, before %s", change.from, change.to, got, first)
		}
	}
	if strings.Contains(place("postgres://u:geheim@h/users?password=geheim"), "geheim") {
		t.Error("a place tells a password")
	}
}

// fakeMirror is a runner that does as it is told.
type fakeMirror struct {
	run    func(ctx context.Context) error
	report *mirror.Report
	err    error
	runs   atomic.Int64
}

func (f *fakeMirror) Run(ctx context.Context) error { f.runs.Add(1); return f.run(ctx) }
func (f *fakeMirror) Do(context.Context, mirror.RunOptions, func(mirror.Progress)) (*mirror.Report, error) {
	if f.report == nil && f.err == nil {
		panic("a bug")
	}
	return f.report, f.err
}
func (f *fakeMirror) State() state.Component { return state.Component{State: state.OK} }
func (f *fakeMirror) Next() time.Time        { return time.Time{} }
func (f *fakeMirror) Last() *mirror.Report   { return f.report }

func TestOneMirrorHarmsNoOther(t *testing.T) {
	cfg := parsed(t, "mirrors: { a: { from: { exec: [x] }, into: { schema: s } }, b: { from: { exec: [x] }, into: { schema: s } }, c: { from: { exec: [x] }, into: { schema: s } } }")
	history := newRunHistory(slog.New(slog.DiscardHandler), nil)
	f := newMirrorFleet(cfg, slog.New(slog.DiscardHandler), mirrorKinds{}, history, func() mirror.Target { return lateTarget{} })
	going := make(chan struct{})
	runners := map[string]*fakeMirror{
		"a": {run: func(context.Context) error { panic("a bug") }},
		"b": {run: func(context.Context) error { return errors.New("it broke") }},
		"c": {run: func(ctx context.Context) error { close(going); <-ctx.Done(); return nil }},
	}
	for _, m := range f.members {
		m.runner = runners[m.name]
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-going
	eventually(t, func() bool { return f.find("a").over.Load() != nil && f.find("b").over.Load() != nil })
	for _, c := range f.components() {
		if want := map[string]string{"mirror a": state.Failed, "mirror b": state.Failed, "mirror c": state.OK}[c.Name]; c.State != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	report, err := doSync(t.Context(), f.find("a"), nil, func(progress) {})
	if err != nil || report.State != warehouse.RunFailure || !strings.Contains(report.Error, "broke off") {
		t.Errorf("a panic in a run by hand: %+v, %v", report, err)
	}
	if _, err := lateTarget.Mirror(f.targets.of("nowhere").(lateTarget), t.Context(), warehouse.MirrorTable{}); err == nil {
		t.Error("a warehouse that is not there takes mirrors")
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}

func TestRunsOfAMirrorAreCounted(t *testing.T) {
	m := &mirrorMember{name: "a"}
	end := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, r := range []warehouse.Run{
		{ID: "1", State: warehouse.RunRunning}, {ID: "1", State: warehouse.RunRunning}, {ID: "2", State: warehouse.RunRunning},
		{ID: "1", State: warehouse.RunSuccess, Rows: 5, FinishedAt: end}, {ID: "2", State: warehouse.RunFailure, Rows: 1}, {ID: "3", State: warehouse.RunRunning},
	} {
		m.count(&r)
	}
	c := m.counts()
	if c.running != 1 || c.rows != 6 || c.runs[warehouse.RunSuccess] != 1 || c.runs[warehouse.RunFailure] != 1 || !c.success.Equal(end) {
		t.Errorf("counted: %+v", c)
	}
}

// A mirror may be called as a warehouse is.
func TestLastRunsOfMirrorsAndWarehousesAreKeptApart(t *testing.T) {
	h := newRunHistory(slog.New(slog.DiscardHandler), nil)
	for _, r := range []warehouse.Run{{ID: "1", Kind: "load", Name: "pg"}, {ID: "2", Kind: mirrorKind, Name: "pg/list"}} {
		if err := h.RecordRun(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
	}
	w, _ := h.lastRun("pg")
	m, _ := h.lastRun(mirrorKey("pg"))
	if w.ID != "1" || m.ID != "2" {
		t.Errorf("the warehouse's is %s, the mirror's %s", w.ID, m.ID)
	}
}

func TestCheckOfDatabasesTellsWhatIsMissing(t *testing.T) {
	cfg := parsed(t, `
databases: { users: { type: postgres, url: "postgres://u:geheim@h/d" }, slow: { type: redis, url: "redis://h" }, tunnel: { type: mysql, url: "mysql://h/d", ssh: { host: b, user: u, key: /nowhere/key } } }
mirrors:
  people: { from: { database: users, table: people, columns: [id, {name: mail, mask: hash}] } }
  odd: { from: { exec: [x] }, into: { schema: s } }
`)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	kinds := map[string]sourceKind{
		config.Postgres: {
			open: func(context.Context, string, source.Spec, source.Options) (mirror.Source, error) {
				return nil, &source.Error{Op: "read", Name: "public.people", Err: errors.New("permission denied"), Advice: "GRANT SELECT ON public.people TO u;"}
			},
			check: func(context.Context, string, source.Options) []source.Finding {
				return []source.Finding{{What: "connection", OK: true, Found: "PostgreSQL 18"}}
			},
		},
		config.Redis: {check: func(context.Context, string, source.Options) []source.Finding { <-hang; return nil }},
		config.MySQL: {check: func(context.Context, string, source.Options) []source.Finding { return nil }},
	}
	var b bytes.Buffer
	printFindings(&b, checkMirrors(t.Context(), cfg, kinds, 100*time.Millisecond))
	for _, want := range []string{
		"ok    users: connection", "FAIL  people: from: open", "GRANT SELECT ON public.people TO u;", "hashed without a salt", "FAIL  slow: connection", "no answer within",
		"FAIL  tunnel: settings", "FAIL  odd: from: open", "is not in this build",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "geheim") {
		t.Error("a password is told")
	}
}

// program writes a folder with a configuration and the program that its mirror reads.
func program(t *testing.T, script string) (path string) {
	t.Helper()
	dir := t.TempDir()
	text := "data: " + filepath.Join(dir, "data") + "\nmirrors: { things: { from: { exec: [./things.sh] }, into: { schema: app } } }\n"
	path = filepath.Join(dir, "firth.yaml")
	for file, content := range map[string]string{path: text, filepath.Join(dir, "things.sh"): "#!/bin/sh\n" + script} {
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil { //nolint:gosec // a program is run
			t.Fatal(err)
		}
	}
	return path
}

func TestSyncByItselfAndByTheServer(t *testing.T) {
	path := program(t, `echo '{"id": 1, "name": "a"}'; echo '{"id": 2, "name": "b"}'`+"\n")
	ask := func() (*syncReport, error) {
		var out bytes.Buffer
		err := Sync(t.Context(), SyncOptions{Config: path, Output: "json", Stdout: &out, Stderr: &bytes.Buffer{}})
		var r syncReport
		if jerr := json.Unmarshal(out.Bytes(), &r); jerr != nil {
			t.Fatalf("%v: %s (%v)", jerr, out.String(), err)
		}
		return &r, err
	}
	here, err := ask()
	if err != nil || here.State != warehouse.RunSuccess || len(here.Mirrors) != 1 || here.Mirrors[0].Rows != 2 || here.Mirrors[0].Name != "things" {
		t.Fatalf("by itself: %+v, %v", here.Mirrors[0], err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	w, stop := serving(t, cfg, folders{cfg.Data}, nil)
	defer stop()
	there, err := ask()
	if err != nil || there.State != warehouse.RunSuccess || there.Mirrors[0].Rows != 2 {
		t.Fatalf("by the server: %+v, %v", there, err)
	}
	list := w.mirrorList()
	if len(list) != 1 || list[0].State != state.OK || list[0].Table != "things" || list[0].Schedule != "on demand" || list[0].LastRun == nil || list[0].Rows == nil || *list[0].Rows != 2 {
		t.Errorf("the list: %+v", list)
	}
	if f := w.mirrors.figures(w.history); len(f) != 1 || f[0].Rows != 2 || f[0].Runs[warehouse.RunSuccess] != 1 || f[0].LastSuccess == 0 {
		t.Errorf("figures: %+v", f)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "things.sh"), []byte("#!/bin/sh\necho '{\"id\": 3}'\nexit 3\n"), 0o700); err != nil { //nolint:gosec // a program is run
		t.Fatal(err)
	}
	failed, err := ask()
	if err == nil || failed.State != warehouse.RunFailure {
		t.Errorf("a program that fails: %+v, %v", failed, err)
	}
	var n int
	if err := w.answer.Load().db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM app.things").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows behind a failed run, %v", n, err)
	}
}

func TestSyncSaysWhatIsWrongWithItsCall(t *testing.T) {
	path := program(t, "exit 0\n")
	for want, o := range map[string]SyncOptions{
		`there is no mirror "thing"`: {Mirrors: []string{"thing"}}, "has no get": {Mirrors: []string{"things"}, IDs: []string{"1"}}, "the name of one mirror": {IDs: []string{"1"}},
		"unknown output": {Output: "xml"},
	} {
		o.Config, o.Stdout, o.Stderr = path, &bytes.Buffer{}, &bytes.Buffer{}
		if o.Output == "" {
			o.Output = "text"
		}
		err := Sync(t.Context(), o)
		if err == nil || !IsUsage(err) || !strings.Contains(err.Error(), want) || hintOf(err) == "" {
			t.Errorf("%s: %v", want, err)
		}
	}
}
