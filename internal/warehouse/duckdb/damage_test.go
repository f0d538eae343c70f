package duckdb_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"firth/internal/lake/rowfile"
)

type damageRow struct {
	id, kind, body string
	n              int64
}

func damageTable() *rowfile.Table[damageRow] {
	text := func(id int, name string, repeats, bloom bool, at func(*damageRow) *string) rowfile.Column[damageRow] {
		return rowfile.Column[damageRow]{
			ID: id, Name: name, Kind: rowfile.Text, Repeats: repeats, Bloom: bloom,
			Bytes: func(r *damageRow) []byte { return []byte(*at(r)) }, SetText: func(r *damageRow, s string) { *at(r) = s },
		}
	}
	return rowfile.NewTable("event", damageRow{}, []rowfile.Column[damageRow]{
		text(1, "message_id", false, true, func(r *damageRow) *string { return &r.id }),
		text(2, "event", true, false, func(r *damageRow) *string { return &r.kind }),
		text(3, "properties", false, false, func(r *damageRow) *string { return &r.body }),
		{ID: 4, Name: "n", Kind: rowfile.Long, Number: func(r *damageRow) (int64, bool) { return r.n, true }, SetNumber: func(r *damageRow, v int64) { r.n = v }},
	}, "event")
}

// part says which part of a Parquet file a byte lies in.
func part(t *testing.T, content []byte) func(at int) string {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	footer := len(content) - 8 - int(uint32(content[len(content)-8])|uint32(content[len(content)-7])<<8|uint32(content[len(content)-6])<<16)
	type span struct {
		from, to int
		name     string
	}
	var spans []span
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			from := int(c.MetaData.DataPageOffset)
			if d := int(c.MetaData.DictionaryPageOffset); d > 0 {
				from = min(from, d)
			}
			// A page's body is a frame of zstd, which begins with its magic number.
			chunk := content[from : from+int(c.MetaData.TotalCompressedSize)]
			for at := 0; at < len(chunk); {
				body := bytes.Index(chunk[at:], []byte{0x28, 0xb5, 0x2f, 0xfd})
				if body < 0 {
					break
				}
				end := len(chunk)
				if c.MetaData.DictionaryPageOffset > 0 && at == 0 {
					end = int(c.MetaData.DataPageOffset) - from
				}
				spans = append(spans, span{from + at, from + at + body, "page header"}, span{from + at + body, from + end, "page"})
				at = end
			}
		}
	}
	return func(at int) string {
		for _, s := range spans {
			if s.from <= at && at < s.to {
				return s.name
			}
		}
		if at >= footer {
			return "footer"
		}
		return "index, filter or mark"
	}
}

// TestWhatTheEngineDoesNotNotice flips bits of a lake file and asks the engine itself, without Firth's checks before it. In pages it
// notices all of them, by zstd's checksum. Elsewhere it does not, which is why a view checks footers, new files and what the
// scrub found.
func TestWhatTheEngineDoesNotNotice(t *testing.T) {
	var rows []*damageRow
	for i := range 300 {
		rows = append(rows, &damageRow{fmt.Sprintf("id-%04d", i), fmt.Sprintf("Event %d", i/60), fmt.Sprintf(`{"n":%d,"text":"%x"}`, i, i*i*i), int64(i)})
	}
	var out bytes.Buffer
	if _, err := rowfile.NewWriter(damageTable()).Write(&out, rows); err != nil {
		t.Fatal(err)
	}
	content := out.Bytes()
	where := part(t, content)
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	dir, asked := t.TempDir(), 0
	ask := func() (string, error) {
		asked++ // a name of its own, for what the engine keeps of files by their names
		path := filepath.Join(dir, fmt.Sprintf("%d.parquet", asked))
		defer func() { _ = os.Remove(path) }()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var answer []string
		for _, q := range []string{
			"SELECT count(*)::VARCHAR FROM read_parquet(?)",
			"SELECT sum(n)::VARCHAR || min(message_id) || max(event) || md5(string_agg(properties, '' ORDER BY n)) FROM read_parquet(?)",
			"SELECT count(*)::VARCHAR FROM read_parquet(?) WHERE event = 'Event 3'",
			"SELECT count(*)::VARCHAR FROM read_parquet(?) WHERE message_id = 'id-0123'",
			"SELECT count(*)::VARCHAR FROM read_parquet(?) WHERE n > 250",
		} {
			var v sql.NullString
			if err := db.QueryRowContext(t.Context(), q, path).Scan(&v); err != nil {
				return "", err
			}
			answer = append(answer, v.String)
		}
		return strings.Join(answer, " "), nil
	}
	want, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	step := 5
	if os.Getenv("FIRTH_CRASH_ROUNDS") != "" {
		step = 1
	}
	tried, wrong := map[string]int{}, map[string]int{}
	for at := 4; at < len(content); at += step {
		name := where(at)
		content[at] ^= 1 << (at % 8)
		got, err := ask()
		content[at] ^= 1 << (at % 8)
		tried[name]++
		if err == nil && got != want {
			wrong[name]++
			if name == "page" {
				t.Errorf("byte %d, in a page: %s, want %s", at, got, want)
			}
		}
	}
	for name, n := range tried {
		t.Logf("%s: %d of %d flips give a wrong answer without an error", name, wrong[name], n)
	}
	if tried["page"] < 50 {
		t.Errorf("only %d flips in pages", tried["page"])
	}
}
