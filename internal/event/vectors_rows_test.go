package event_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/table"
)

// vectorCase is one case of testdata/vectors.txt, whose head explains the commands.
type vectorCase struct {
	id    string // as the specification has it, or with /firth
	title string
	line  int
	steps []vectorStep
}

type vectorStep struct {
	line          int
	command, rest string
}

func readVectors(t *testing.T) []vectorCase {
	t.Helper()
	f, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []vectorCase
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		command, rest, _ := strings.Cut(text, " ")
		if command == "==" {
			id, title, _ := strings.Cut(rest, " ")
			cases = append(cases, vectorCase{id: id, title: title, line: n})
			continue
		}
		c := &cases[len(cases)-1]
		c.steps = append(c.steps, vectorStep{n, command, rest})
	}
	return cases
}

// TestVectors runs the vectors about rows.
func TestVectors(t *testing.T) {
	for _, c := range readVectors(t) {
		t.Run(fmt.Sprintf("%s line %d", c.id, c.line), func(t *testing.T) {
			r := &vectorRun{t: t, rules: name.DuckDB(), received: instant(t, "2024-06-01T12:00:00Z"), existing: map[string][]table.Column{}}
			for _, s := range c.steps {
				r.line = s.line
				r.do(s.command, s.rest)
			}
		})
	}
}

// vectorRun is a case under way.
type vectorRun struct {
	t        *testing.T
	line     int
	rules    name.Rules
	opts     event.ShapeOptions
	received int64
	existing map[string][]table.Column
	order    []string
	shaper   *event.Shaper
	offset   uint64
	dead     []string
	pending  bool
	load     *event.Load
}

func (r *vectorRun) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("vectors.txt:%d: %s", r.line, fmt.Sprintf(format, args...))
}

func (r *vectorRun) do(command, rest string) {
	words := strings.Fields(rest)
	switch command {
	case "mode":
		r.rules = vectorRules(r.t, words)
	case "option":
		r.option(rest)
	case "existing":
		typ, ok := table.ParseType(words[2])
		if !ok {
			r.t.Fatalf("line %d: type %s", r.line, words[2])
		}
		if r.existing[words[0]] == nil {
			r.order = append(r.order, words[0])
		}
		r.existing[words[0]] = append(r.existing[words[0]], table.Column{Name: words[1], Type: typ, Path: words[3]})
	case "received":
		r.received = instant(r.t, rest)
	case "call":
		r.batchBody(`{"batch":[` + rest + `]}`)
	case "batch":
		r.batchBody(rest)
	case "bare":
		r.bare(rest)
	case "take":
		r.load, r.pending = r.start().Take(), false
	default:
		if r.pending || r.load == nil {
			r.load, r.pending = r.start().Take(), false
		}
		r.expect(command, rest, words)
	}
}

func vectorRules(t *testing.T, words []string) name.Rules {
	rules, ok := map[string]name.Rules{
		"duckdb": name.DuckDB(), "postgres": name.Postgres(), "redshift": name.Redshift(), "parquet": name.Parquet(),
	}[words[0]]
	if !ok {
		t.Fatalf("no target %s", words[0])
	}
	if len(words) > 1 {
		rules = rules.WithRudderStack(words[1] == "divide")
	}
	return rules
}

func (r *vectorRun) option(text string) {
	key, value, _ := strings.Cut(text, "=")
	n, _ := strconv.Atoi(value)
	switch key {
	case "drop_empty_strings":
		r.opts.DropEmptyStrings = true
	case "strict_types":
		r.opts.StrictTypes = true
	case "max_columns":
		r.opts.MaxColumns = n
	case "max_event_tables":
		r.opts.MaxEventTables = n
	case "max_depth":
		r.opts.MaxDepth = n
	default:
		r.t.Fatalf("line %d: option %s", r.line, key)
	}
}

func (r *vectorRun) start() *event.Shaper {
	if r.shaper == nil {
		r.shaper = event.NewShaper("source", r.rules, r.opts)
		for _, tbl := range r.order {
			r.shaper.Restore(tbl, r.existing[tbl])
		}
	}
	return r.shaper
}

// batchBody sends a batch through the decoder.
func (r *vectorRun) batchBody(text string) {
	req := &event.Request{Source: "source", Body: []byte(text)}
	var d event.Decoder
	r.offset++
	r.pending = true
	err := d.Decode(req, "log", r.offset, r.received, r.start().Add, func(l *event.DeadLetter) error {
		r.dead = append(r.dead, l.Reason)
		return nil
	})
	if err != nil {
		r.t.Fatalf("line %d: %v", r.line, err)
	}
}

// bare makes a call of fields that the decoder would not let through.
func (r *vectorRun) bare(text string) {
	var fields struct {
		Type, Event, UserID, AnonymousID string
		Properties, Traits, Context      json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		r.t.Fatalf("line %d: %v", r.line, err)
	}
	r.offset++
	r.pending = true
	c := &event.Call{
		MessageID: "bare", Type: fields.Type, Event: fields.Event, UserID: fields.UserID, AnonymousID: fields.AnonymousID,
		TS: r.received, ReceivedAt: r.received, SentAt: event.NoTime, OriginalTimestamp: event.NoTime,
		Properties: slices.Concat(fields.Properties, fields.Traits), Context: fields.Context, Payload: []byte(text), Offset: r.offset,
	}
	if err := r.start().Add(c); err != nil {
		r.t.Fatalf("line %d: %v", r.line, err)
	}
}

func (r *vectorRun) expect(command, rest string, words []string) {
	switch command {
	case "tables":
		var got []string
		for _, b := range r.batches() {
			got = append(got, b.Name)
		}
		if !slices.Equal(got, words) {
			r.fail("tables %v", got)
		}
	case "rows":
		if b := r.batch(words[0]); b == nil || strconv.Itoa(len(b.Rows)) != words[1] {
			r.fail("rows of %s: %+v", words[0], b)
		}
	case "want":
		r.want(words[0], words[1], strings.Join(words[2:], " "), rest)
	case "no":
		r.absent(words[0])
	case "discards":
		if strconv.Itoa(len(r.load.Discards)) != words[0] {
			r.fail("discards: %+v", r.load.Discards)
		}
	case "discard":
		r.discard(words[0], strings.TrimSpace(strings.TrimPrefix(rest, words[0])))
	case "widened":
		tbl, column, _ := strings.Cut(words[0], ".")
		if !slices.Contains(r.load.Widened, event.Widened{Table: tbl, Column: column}) {
			r.fail("widened: %v", r.load.Widened)
		}
	case "dead":
		if !slices.Contains(r.dead, words[0]) {
			r.fail("dead letters: %v", r.dead)
		}
	default:
		r.t.Fatalf("line %d: no command %s", r.line, command)
	}
}

func (r *vectorRun) batches() []*table.Batch { return slices.Concat(r.load.Tables, r.load.Upserts) }

func (r *vectorRun) batch(tbl string) *table.Batch {
	for _, b := range r.batches() {
		if b.Name == tbl {
			return b
		}
	}
	return nil
}

// want compares a cell: where is table.column or table.row.column.
func (r *vectorRun) want(where, typ, value, rest string) {
	parts := strings.Split(where, ".")
	row := 0
	if len(parts) == 3 {
		row, _ = strconv.Atoi(parts[1])
	}
	column := parts[len(parts)-1]
	b := r.batch(parts[0])
	if b == nil || row >= len(b.Rows) || b.Find(column) < 0 {
		r.fail("there is no %s", where)
		return
	}
	if i := strings.Index(rest, `"`); i >= 0 {
		value = rest[i:] // with the spaces that it came with
	}
	if got := b.Columns[b.Find(column)].Type.String(); got != typ {
		r.fail("%s has the type %s", where, got)
	}
	if got := shown(b.Get(row, column)); got != value {
		r.fail("%s is %s", where, got)
	}
}

// shown is a value by its bits, as vectors.txt writes it.
func shown(v table.Value) string {
	switch v.Type {
	case table.Boolean:
		return strconv.FormatBool(v.Bits != 0)
	case table.Integer:
		return strconv.FormatInt(v.Int64(), 10)
	case table.Float:
		return strconv.FormatFloat(v.Float64(), 'g', -1, 64)
	case table.Timestamp:
		return time.UnixMicro(v.Int64()).UTC().Format(time.RFC3339Nano)
	case table.String:
		return strconv.Quote(v.Text)
	}
	return "null"
}

func (r *vectorRun) absent(where string) {
	tbl, column, _ := strings.Cut(where, ".")
	b := r.batch(tbl)
	if b == nil {
		r.fail("there is no table %s", tbl)
		return
	}
	for _, c := range b.Columns {
		prefix, wild := strings.CutSuffix(column, "*")
		if c.Name == column || wild && strings.HasPrefix(c.Name, prefix) {
			r.fail("there is a column %s", c.Name)
		}
	}
}

func (r *vectorRun) discard(where, rest string) {
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		r.t.Fatalf("line %d: %v", r.line, err)
	}
	value, _ := strconv.Unquote(quoted)
	tbl, column, _ := strings.Cut(where, ".")
	for _, d := range r.load.Discards {
		if d.TableName == tbl && d.ColumnName == column && d.Value == value && d.Reason == strings.TrimSpace(rest[len(quoted):]) && d.RowID != "" {
			return
		}
	}
	r.fail("discards: %+v", r.load.Discards)
}

func instant(t *testing.T, text string) int64 {
	t.Helper()
	us, _, ok := table.ParseTimestamp(text)
	if !ok {
		t.Fatalf("%s is no time", text)
	}
	return us
}
