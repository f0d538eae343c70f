package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/schedule"
	"firth/internal/source"
	"firth/internal/warehouse"
)

// mirrorConfig is a mirror as the engine wants it.
func mirrorConfig(cfg *config.Config, name string) mirror.Config {
	m := cfg.Mirrors[name]
	out := mirror.Config{
		Name: name, Table: warehouse.MirrorTable{Name: name, Schema: m.Into.Schema, Table: mirrorTable(cfg, &m)},
		Mode: m.Mode, Key: m.Key, Cursor: m.Cursor, DeleteMissing: m.DeleteMissing, MaxDelete: float64(m.MaxDelete), History: m.History, Drift: m.Drift,
		Columns: columnRules(&m), Only: m.Columns.Only(), Exclude: m.Exclude, Salt: string(m.Salt),
		Concurrency: m.Concurrency, Rate: float64(m.Rate), Missing: missing(&m), Depth: m.Depth, UUIDSubtype3: m.UUIDSubtype3,
	}
	if m.Late != nil {
		out.Late = &mirror.Late{Time: m.Late.Span, Count: m.Late.Number}
	}
	for path, what := range m.Arrays.Path {
		if what == "table" {
			out.Tables = append(out.Tables, path)
		}
	}
	slices.Sort(out.Tables)
	if m.List != nil {
		out.ListID = m.List.ID
	}
	if m.Get != nil {
		out.GetKey = m.Get.Key
	}
	out.Settings = settings(cfg, &m, &out)
	return out
}

// mirrorTable is the table's name as its warehouse writes it.
func mirrorTable(cfg *config.Config, m *config.Mirror) string {
	if cfg.Warehouses[m.Into.Warehouse].Type == config.Postgres {
		return lowerASCII(m.Into.Table)
	}
	return m.Into.Table
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func columnRules(m *config.Mirror) []mirror.ColumnRule {
	var out []mirror.ColumnRule
	at := map[string]int{}
	rule := func(path string) *mirror.ColumnRule {
		i, ok := at[path]
		if !ok {
			i = len(out)
			at[path] = i
			out = append(out, mirror.ColumnRule{Path: path})
		}
		return &out[i]
	}
	for _, c := range m.Columns {
		r := rule(c.Name)
		r.As, r.Mask, r.Type = c.As, c.Mask, m.TypeOf(c.Name)
	}
	// Types and arrays of columns that a list leaves out would bring them in.
	wanted := func(path string) bool { _, ok := at[path]; return ok || !m.Columns.Only() }
	for _, path := range sortedKeys(m.Types) {
		if wanted(path) {
			rule(path).Type = m.TypeOf(path)
		}
	}
	for _, path := range sortedKeys(m.Arrays.Path) {
		if wanted(path) {
			rule(path).Arrays = m.Arrays.Path[path]
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// missing is what becomes of an id that the get has nothing for: keys of Redis that hold one value or one row an id count as empty
// rows, everything else as no row.
func missing(m *config.Mirror) string {
	if m.Missing != "" || m.Get == nil {
		return string(m.Missing)
	}
	g := m.Get
	keyed := slices.ContainsFunc(g.Columns, func(c config.Column) bool { return c.Of != "" })
	if g.Kind == config.Redis && (keyed || g.Hash != "" || g.String != "" || g.JSON != "") {
		return mirror.MissingNull
	}
	return mirror.MissingNone
}

// settings tells whether what is read is the same as before, without telling what it is.
func settings(cfg *config.Config, m *config.Mirror, c *mirror.Config) string {
	h := sha256.New()
	blocks := m.Blocks()
	for _, role := range sortedKeys(blocks) {
		b := blocks[role]
		spec := blockSpec(cfg, m, c, b)
		spec.Header = nil
		spec.URL = place(config.Secret(spec.URL))
		text, _ := json.Marshal(spec) // plain strings and lists are always JSON
		fmt.Fprintf(h, "%s %s %s %s\n", role, b.Kind, place(cfg.Databases[b.Database].URL), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// blockSpec is what a block reads.
func blockSpec(cfg *config.Config, m *config.Mirror, c *mirror.Config, b *config.Block) source.Spec {
	s := source.Spec{
		Collection: b.Collection, Filter: json.RawMessage(b.Filter), Projection: json.RawMessage(b.Projection), Sort: json.RawMessage(b.Sort), Pipeline: json.RawMessage(b.Pipeline),
		Table: b.Table, Where: b.Where, Query: b.Query,
		Keys: b.Keys, Set: b.Set, ZSet: b.ZSet, Hash: b.Hash, String: b.String, JSON: b.JSON, List: b.List, Stream: b.Stream,
		Exec: b.Exec, URL: string(b.URL), Next: b.Next, ID: b.ID, Key: b.Key,
	}
	for _, col := range b.Columns {
		if col.Of != "" {
			s.Fields = append(s.Fields, source.Field{Name: col.Name, Spec: keySpec(col.Of, col.Template)})
		}
	}
	if len(b.Headers) > 0 {
		s.Header = map[string]string{}
		for name, value := range b.Headers {
			s.Header[name] = string(value)
		}
	}
	if len(b.Exec) > 0 {
		if dir, err := cfg.Dir(); err == nil {
			s.Dir = dir
		}
	}
	if b != m.List {
		s.Columns, s.Exclude = c.Selection()
		s.Cursor = m.Cursor
	}
	return s
}

// keySpec reads a Redis key of one type.
func keySpec(of, template string) source.Spec {
	var s source.Spec
	*map[string]*string{"string": &s.String, "json": &s.JSON, "hash": &s.Hash, "set": &s.Set, "zset": &s.ZSet, "list": &s.List, "stream": &s.Stream}[of] = template
	return s
}

// clocksOf say when a mirror runs by itself.
func clocksOf(m *config.Mirror) (mirror.Clocks, error) {
	var c mirror.Clocks
	for _, s := range []struct {
		every config.Duration
		cron  string
		into  *schedule.Schedule
	}{{m.Every, m.Cron, &c.Copy}, {blockOf(m.List).Every, blockOf(m.List).Cron, &c.List}, {blockOf(m.Get).Every, blockOf(m.Get).Cron, &c.Get}} {
		switch {
		case s.every > 0:
			*s.into = schedule.Every(time.Duration(s.every))
		case s.cron != "":
			made, err := schedule.Cron(s.cron)
			if err != nil {
				return c, err
			}
			*s.into = made
		}
	}
	return c, nil
}

func blockOf(b *config.Block) *config.Block {
	if b == nil {
		return &config.Block{}
	}
	return b
}

// whenText says in words when a mirror runs.
func whenText(m *config.Mirror) string {
	text := func(every config.Duration, cron string) string {
		return scheduleText(&config.Warehouse{Every: every, Cron: cron})
	}
	if m.From != nil {
		return text(m.Every, m.Cron)
	}
	return "list " + text(m.List.Every, m.List.Cron) + ", get " + text(m.Get.Every, m.Get.Cron)
}

// mirrorMaker makes mirrors from their configuration.
type mirrorMaker struct {
	cfg       *config.Config
	databases *databases
	targets   *mirrorTargets
	log       *slog.Logger
	record    func(*warehouse.Run)
	now       func() time.Time
}

// make makes one mirror. Nothing is opened before it runs.
func (k *mirrorMaker) make(name string) *mirror.Mirror {
	m := k.cfg.Mirrors[name]
	c := mirrorConfig(k.cfg, name)
	opener := func(b *config.Block) func(context.Context) (mirror.Source, error) {
		if b == nil {
			return nil
		}
		spec := blockSpec(k.cfg, &m, &c, b)
		return func(ctx context.Context) (mirror.Source, error) { return k.databases.open(ctx, b, spec, c.Concurrency) }
	}
	into := k.cfg.Warehouses[m.Into.Warehouse].Type
	postgres := into == config.Postgres
	digits, scale := 0, 0
	if into == config.MySQL {
		digits, scale = 65, 30
	}
	return mirror.New(mirror.Options{
		Config: c, From: opener(m.From), List: opener(m.List), Get: opener(m.Get), Target: k.targets.of(m.Into.Warehouse),
		Lower: postgres, Unbounded: postgres, Digits: digits, Scale: scale, Lists: into != config.MySQL, Log: k.log.With("mirror", name), Now: k.now, Record: k.record,
	})
}
