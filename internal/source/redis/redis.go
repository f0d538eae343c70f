// Package redis reads Redis: ids by SCAN or from a set, a sorted set or a hash, and values of every type by templates of keys, in
// pipelines. Nothing is written, and KEYS is never sent.
package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"firth/internal/source"
	"firth/internal/vector"
)

// idName is the field of an id where the settings name no other.
const idName = "id"

// Table is what one block of a mirror reads. It is safe for use by several goroutines.
type Table struct {
	spec    source.Spec
	o       source.Options
	options *goredis.Options
	address string // host and port, for messages
	user    string

	keys   template    // of a list or copy by SCAN; text is empty where there is none
	kind   *kind       // of what is read at a key; nil: by TYPE in a copy of keys, or several fields
	at     template    // where it is read
	fields []fieldRead // of a get of several keys
	filter filter

	mu   sync.Mutex
	conn *servers  // nil: not connected
	idle []*reader // closed, for their memory
}

// fieldRead is one column of a get that asks for several keys an id.
type fieldRead struct {
	name string
	kind *kind
	at   template
}

// Open prepares the reading. It connects when it is first needed. The URL is redis://user:password@host:port/database or rediss:// with
// TLS; a cluster is recognised by itself.
func Open(_ context.Context, url string, spec source.Spec, o source.Options) (*Table, error) {
	logging.Disable() // all that the client would write to standard error comes as an error, too
	t := &Table{spec: spec, o: o}
	if err := t.parseURL(url); err != nil {
		return nil, err
	}
	if err := t.plan(); err != nil {
		return nil, &source.Error{Op: "read", Name: t.name(), Err: err}
	}
	return t, nil
}

// plan sees what is to be read.
func (t *Table) plan() (err error) {
	if t.spec.Keys != "" {
		if t.keys, err = parseTemplate(t.spec.Keys); err != nil {
			return err
		}
	}
	if t.kind, t.at, err = planRead(t.spec); err != nil {
		return err
	}
	for _, f := range t.spec.Fields {
		r := fieldRead{name: f.Name}
		if r.kind, r.at, err = planRead(f.Spec); err != nil {
			return err
		}
		if r.kind == nil || len(r.at.parts) == 0 {
			return fmt.Errorf("the column %s names no key with {id}", f.Name)
		}
		t.fields = append(t.fields, r)
	}
	if t.kind == nil && t.keys.text == "" && t.fields == nil {
		return errors.New("neither keys nor a key is named")
	}
	t.filter = newFilter(t.spec.Columns, t.spec.Exclude)
	return nil
}

// planRead is the one key that a specification names, and its type.
func planRead(s source.Spec) (*kind, template, error) {
	var found *kind
	var at string
	for _, c := range []struct {
		key  string
		kind *kind
	}{
		{s.String, &kindString}, {s.JSON, &kindJSON}, {s.Hash, &kindHash}, {s.Set, &kindSet}, {s.ZSet, &kindZSet}, {s.List, &kindList},
		{s.Stream, &kindStream},
	} {
		if c.key == "" {
			continue
		}
		if found != nil {
			return nil, template{}, fmt.Errorf("both a %s and a %s are named", found.name, c.kind.name)
		}
		found, at = c.kind, c.key
	}
	if found == nil {
		return nil, template{}, nil
	}
	tpl, err := parseTemplate(at)
	return found, tpl, err
}

// scanned is the template that a scan matches keys against; ok is false where the scan reads one key.
func (t *Table) scanned() (*template, bool) {
	if t.keys.text != "" {
		return &t.keys, true
	}
	if t.kind != nil && len(t.at.parts) > 0 {
		return &t.at, true
	}
	return nil, false
}

// member is the field that holds the id where a scan reads one key.
func (t *Table) member() string {
	switch {
	case t.spec.ID != "":
		return t.spec.ID
	case t.kind == &kindHash:
		return "field"
	case t.kind == &kindList:
		return "ordinal"
	case t.kind == &kindStream:
		return "stream_id"
	}
	return "member"
}

// Describe connects, and fails where the key that is read is of another type.
func (t *Table) Describe(ctx context.Context) (*source.Info, error) {
	c, err := t.connected(ctx)
	if err != nil {
		return nil, err
	}
	info := &source.Info{Rows: -1, Bytes: -1}
	if len(t.fields) > 0 {
		info.Key = []string{t.key()}
		return info, nil
	}
	if tpl, ok := t.scanned(); ok {
		info.Key = []string{"key"}
		if i := t.idPart(tpl); i >= 0 {
			info.Key = []string{tpl.parts[i]}
		}
		if t.spec.ID != "" {
			info.Key = []string{t.spec.ID}
		}
		return info, nil
	}
	info.Key = []string{t.member()}
	if t.kind.size == "" {
		return info, nil
	}
	p := newPipe()
	key := string(t.at.append(nil, ""))
	p.add(&key, t.kind.size, &key)
	if err := p.run(ctx, t, c); err != nil {
		return nil, err
	}
	r := p.reply(0)
	what, n, text, err := r.next()
	if err == nil && what == '-' {
		return nil, t.describeKey(ctx, c, "read", key, text)
	}
	info.Rows = n
	return info, err
}

// idPart is the part of a template that is the id: the one that the settings name, or id, or the only one; -1: none.
func (t *Table) idPart(tpl *template) int {
	for _, name := range []string{t.spec.ID, idName} {
		if i := tpl.part(name); name != "" && i >= 0 {
			return i
		}
	}
	if len(tpl.parts) == 1 {
		return 0
	}
	return -1
}

// key is the field of a get that holds the id.
func (t *Table) key() string {
	if t.spec.Key != "" {
		return t.spec.Key
	}
	return idName
}

// Begin does nothing: Redis shows no moment, but each key as it is when it is read.
func (t *Table) Begin(context.Context) error { return nil }

// End does nothing.
func (t *Table) End() error { return nil }

// Ranges is one range: SCAN cannot be cut.
func (t *Table) Ranges(context.Context, int) ([]source.Range, error) { return []source.Range{{}}, nil }

// Scan reads all keys that match, or one key. Each key or member comes once, however often SCAN returns it; what stayed throughout comes
// for sure. Where only ids are wanted (Request.Only) values are not read.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	c, err := t.connected(ctx)
	if err != nil {
		return nil, err
	}
	tpl, ok := t.scanned()
	if ok {
		return t.scanKeys(ctx, c, tpl, r)
	}
	if r.Only != nil && t.kind.scan != "" && len(r.Only) == 1 && (r.Only[0] == t.member() || r.Only[0] == idName) {
		return &members{t: t, c: c, name: r.Only[0], cursor: "0", seen: newSeen(), pipe: newPipe()}, nil
	}
	rows := newReader(t, c)
	rows.filter = t.filter.only(r.Only)
	rows.from = r.From
	k := t.kind
	if k == &kindHash {
		k = &kindHashRows
	}
	rows.subjects([]string{string(t.at.append(nil, ""))}, k)
	return rows, nil
}

// Get reads the values of a batch of ids in pipelines. A key of another type than the one that is asked for fails for its id alone: Next
// then ends with *source.FailedIDs.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	c, err := t.connected(ctx)
	if err != nil {
		return nil, err
	}
	return t.get(c, ids)
}

// Close ends the connections.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	err := t.conn.close()
	t.conn = nil
	return err
}

func (t *Table) name() string {
	if t.o.Name != "" {
		return t.o.Name
	}
	return t.address
}

// commands are those that the reading needs.
func (t *Table) commands() []string {
	var out []string
	add := func(k *kind) {
		if k != nil {
			out = append(out, k.commands...)
		}
	}
	add(t.kind)
	for _, f := range t.fields {
		add(f.kind)
	}
	if _, ok := t.scanned(); ok {
		out = append(out, "SCAN")
		if t.kind == nil {
			for _, k := range kinds() {
				add(k)
			}
		}
	}
	out = append(out, "TYPE")
	if t.options.DB != 0 {
		out = append(out, "SELECT")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// patterns are those of the keys that are read.
func (t *Table) patterns() []string {
	var out []string
	for _, tpl := range append([]template{t.keys, t.at}, fieldTemplates(t.fields)...) {
		if tpl.text != "" {
			out = append(out, strings.ReplaceAll(tpl.glob(), " ", "?"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func fieldTemplates(fields []fieldRead) []template {
	out := make([]template, len(fields))
	for i, f := range fields {
		out[i] = f.at
	}
	return out
}
