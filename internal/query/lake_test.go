package query_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/query"
	"firth/internal/warehouse/duckdb"
)

// fakeLake is a lake of files on local disk, which it can pretend are elsewhere.
type fakeLake struct {
	remote bool
	near   bool        // as is what is elsewhere
	states []fakeState // oldest first
	opened []string    // of the last statement
	held   int
}

type fakeState struct {
	id    int64
	at    time.Time
	files []query.LakeFile
}

func (l *fakeLake) Remote() bool { return l.remote }
func (l *fakeLake) Tables(context.Context) ([]string, error) {
	return []string{"production", "app"}, nil
}

func (l *fakeLake) Snapshot(_ context.Context, table string, at *query.LakeTime) ([]query.LakeFile, error) {
	if table != "production" {
		return nil, nil
	}
	for _, s := range slices.Backward(l.states) {
		if at == nil || at.Snapshot == s.id || at.Snapshot == 0 && !s.at.After(at.Time) {
			return s.files, nil
		}
	}
	return nil, query.NewError(query.CodeNoSnapshot, "the oldest snapshot is "+l.states[0].at.Format(time.RFC3339), "no such state")
}

func (l *fakeLake) Near([]query.LakeFile) bool { return l.near }

func (l *fakeLake) Open(_ context.Context, files []query.LakeFile) (names []string, release func(), err error) {
	l.held++
	l.opened = nil
	for _, f := range files {
		names = append(names, f.Path)
		l.opened = append(l.opened, filepath.Base(f.Path))
	}
	return names, func() { l.held-- }, nil
}

func (l *fakeLake) Select(table string, names []string) string {
	return duckdb.LakeSelect(table == query.DeadLetters, names)
}
func (l *fakeLake) Probe(table string) string { return duckdb.LakeProbe(table == query.DeadLetters) }

const fileRows = 40

// newLake makes a lake with one file of 40 rows a day, in days of November, and a state an hour, of one file more each.
func newLake(t testing.TB, days int) (*query.Engine, *fakeLake) {
	t.Helper()
	db, folder := open(t)
	dir := filepath.Dir(folder)
	l := &fakeLake{}
	var files []query.LakeFile
	for d := range days {
		path := fmt.Sprintf("%s/day%02d.parquet", dir, d+1)
		from := time.Date(2026, 11, d+1, 0, 0, 0, 0, time.UTC)
		rows := fmt.Sprintf(`SELECT 'm%d-' || i AS message_id, 'track' AS type, ['closed', 'it''s', 'opened', e'a\nts>=''2030-01-01 00:00:00+00''::TIMESTAMP WITH TIME ZONE'][1 + (i + %[1]d) %% 4] AS event,
			make_timestamptz(%[2]d + i * 2160000000) AS ts, make_timestamptz(%[2]d + i * 2160000000 + 3600000000) AS received_at,
			NULL::TIMESTAMPTZ AS sent_at, NULL::TIMESTAMPTZ AS original_timestamp, 'u' || (i %% 7) AS user_id, NULL::VARCHAR AS anonymous_id, '{"n": ' || i || '}' AS properties,
			NULL::VARCHAR AS context, '{}' AS og_payload, 'log' AS _firth_log, %[1]d * 100 + i AS _firth_offset FROM range(%[3]d) t(i)`, d, from.UnixMicro(), fileRows)
		if _, err := db.Exec("COPY (" + rows + ") TO '" + path + "'"); err != nil {
			t.Fatal(err)
		}
		f := query.LakeFile{Path: path, URL: "file://" + path, Day: from, Rows: fileRows, Bytes: 1000, MinEvent: "a\nts", MaxEvent: "opened",
			MinTS: from.UnixMicro(), MaxTS: from.Add((fileRows - 1) * 36 * time.Minute).UnixMicro()}
		f.MinReceived, f.MaxReceived = f.MinTS+3600e6, f.MaxTS+3600e6
		files = append(files, f)
		l.states = append(l.states, fakeState{int64(7_000_000_000_000_001 + d), time.Date(2026, 11, 20, d, 0, 0, 0, time.UTC), slices.Clone(files)})
	}
	for _, s := range []string{"CREATE OR REPLACE VIEW lake.production AS ", "CREATE OR REPLACE VIEW lake.plain AS "} {
		if _, err := db.Exec(s + l.Select("production", paths(files))); err != nil {
			t.Fatal(err)
		}
	}
	return query.New(database{db}, query.Options{Lakes: l}), l
}

func paths(files []query.LakeFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// rows are those of an answer as CSV, without the header.
func rows(t testing.TB, e *query.Engine, user query.User, text string, params ...any) string {
	t.Helper()
	res, err := e.Query(context.Background(), user, query.Request{SQL: text, Params: params})
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return ""
	}
	var b bytes.Buffer
	if err := errors.Join(query.Write(&b, query.FormatCSV, res, 0), res.Close()); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	_, out, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(b.String()), "\r\n", "\n"), "\n")
	return out
}

// Every spelling of time travel, wherever a table can stand.
func TestAsOf(t *testing.T) {
	e, l := newLake(t, 5)
	for _, remote := range []bool{false, true} {
		l.remote = remote
		for _, c := range []struct {
			sql, want string
			params    []any
		}{
			{"SELECT count(*) FROM lake.production", "200", nil},
			{"SELECT count(*) FROM lake.production AT (TIMESTAMP => '2026-11-20 01:30:00')", "80", nil},
			{"SELECT count(*) FROM lake.production AT (TIMESTAMP => TIMESTAMP '2026-11-20 01:00:00')", "80", nil},
			{"SELECT count(*) FROM lake.production AT (VERSION => 7000000000000001)", "40", nil},
			{"SELECT count(*) FROM lake.production AT (VERSION => '7000000000000003')", "120", nil},
			{"SELECT count(*) FROM lake.production FOR TIMESTAMP AS OF '2026-11-20 02:00:00'", "120", nil},
			{"SELECT count(*) FROM lake.production FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-20 02:00:00' - INTERVAL 1 HOUR", "80", nil},
			{"SELECT count(*) FROM lake.production FOR VERSION AS OF 7000000000000002", "80", nil},
			{"SELECT count(*) FROM lake.production TIMESTAMP AS OF '2026-11-20T02:00:00+02:00'", "40", nil},
			{"SELECT count(*) FROM lake.production VERSION AS OF 7000000000000002 WHERE event = 'opened'", "20", nil},
			{"SELECT count(*) FROM lake.production AS OF '2026-11-20 01:00:00'", "80", nil},
			{"SELECT count(*) FROM lake.production AS OF 7000000000000002", "80", nil},
			{"SELECT count(*) FROM lake.production AS OF DATE '2026-11-20'", "40", nil},
			{"SELECT count(*) FROM lake.production AS OF now() - INTERVAL '1' HOUR", "200", nil},
			{"SELECT count(*) FROM lake.production AS OF (now()::DATE - 0)::TIMESTAMP + INTERVAL (2) DAYS", "200", nil},
			{"SELECT count(*) FROM lake.production AS OF $1", "80", []any{"2026-11-20 01:00:00"}},
			{"SELECT count(*) FROM lake.production AS OF $1", "80", []any{int64(7000000000000002)}},
			{"SELECT count(*) FROM lake.production FOR VERSION AS OF ?::BIGINT WHERE event = ? OR event = ?", "20", []any{int64(7000000000000002), "opened", "x"}},
			{"SELECT count(*) FROM lake.production AT (TIMESTAMP => $1::TIMESTAMPTZ - INTERVAL 30 MINUTE) WHERE event = $2", "10", []any{"2026-11-20 01:00:00", "opened"}},
			{"SELECT count(p.event) FROM lake.production p AT (VERSION => 7000000000000001)", "40", nil},
			{"SELECT count(p.event) FROM lake.production AT (VERSION => 7000000000000001) p", "40", nil},
			{"SELECT count(p.event) FROM lake.production AT (VERSION => 7000000000000001) AS p WHERE p.type = 'track'", "40", nil},
			{"SELECT count(a) FROM lake.production FOR VERSION AS OF 7000000000000001 AS p (a, b)", "40", nil},
			{"SELECT count(p.event) FROM lake.production AS p FOR SYSTEM_TIME AS OF '2026-11-20'", "40", nil},
			{"SELECT count(p.event) FROM lake.production AS OF '2026-11-20' p", "40", nil},
			{"FROM lake.production AS OF 7000000000000001 SELECT count(*)", "40", nil},
			{"SELECT count(production.event), max(lake.production.type) FROM lake.production AS OF '2026-11-20'", "40,track", nil},
			{"SELECT count(LAKE.main.Production.event) FROM LAKE.main.\"production\" /* then */ AS OF '2026-11-20' -- end", "40", nil},
			{"SELECT (SELECT count(*) FROM lake.production) - (SELECT count(*) FROM lake.production AS OF 7000000000000004)", "40", nil},
			{"SELECT n.message_id FROM lake.production n ANTI JOIN lake.production AS OF 7000000000000004 o USING (message_id) ORDER BY ALL LIMIT 1", "m4-0", nil},
			{"SELECT n.message_id FROM lake.production n LEFT JOIN lake.production FOR VERSION AS OF 7000000000000004 AS o ON n.message_id = o.message_id WHERE o.message_id IS NULL ORDER BY ALL LIMIT 1", "m4-0", nil},
			{"WITH was AS (SELECT * FROM lake.production AS OF 7000000000000002), firth AS (SELECT 1) SELECT count(*) FROM was", "80", nil},
			{"SELECT count(*) FROM (SELECT * FROM lake.production AS OF 7000000000000002 UNION ALL SELECT * FROM lake.production AS OF 7000000000000002)", "160", nil},
			{"SELECT 'ä日', count(*), 'AS OF' AS of FROM lake.production AS OF 7000000000000002, range(2) AS of", "ä日,160,AS OF", nil},
			{"SELECT count(*) FROM lake.production AS of", "200", nil},
			{"SELECT count(of.b) FROM lake.production AS of (a, b)", "200", nil},
			{"PIVOT lake.production AS OF 7000000000000002 ON event IN ('opened') USING count(*) GROUP BY type", "track,20", nil},
			{"SELECT column_name FROM (DESCRIBE lake.production) LIMIT 1", "message_id", nil},
			{"SELECT count FROM (SUMMARIZE lake.production) LIMIT 1", "200", nil},
			{"SELECT count(*) FROM p: lake.production AT (VERSION => 7000000000000002)", "80", nil},
			{"SELECT count(*) FROM lake.production TABLESAMPLE 100%", "200", nil},
		} {
			if got := rows(t, e, reader, c.sql, c.params...); got != c.want {
				t.Errorf("remote %v: %s: %q, want %q", remote, c.sql, got, c.want)
			}
			if l.held != 0 {
				t.Fatalf("%s: files are held still", c.sql)
			}
		}
	}
}

func TestFunctionsOverFiles(t *testing.T) {
	e, l := newLake(t, 5)
	for _, remote := range []bool{false, true} {
		l.remote = remote
		for _, c := range []struct{ sql, want string }{
			{"SELECT count(*) FROM firth_files('production')", "5"},
			{"SELECT count(*), sum(rows) FROM firth_files('production', '2026-11-02 12:00', '2026-11-04')", "2,80"},
			{"SELECT min(day), max(f.max_ts) FROM firth_files('production', to := '2026-11-03') f", "2026-11-01,2026-11-02T23:24:00.000000Z"},
			{"SELECT count(*) FROM firth_files('production', from => '2026-11-03')", "4"}, // one hour is received on the next day
			{"SELECT count(*) FROM firth_files(source := 'production', \"from\" := DATE '2026-11-03', \"to\" := NULL)", "4"},
			{"SELECT count(*) FROM firth_files('app')", "0"},
			{"SELECT count(*) FROM firth_files('production', '2027-01-01')", "0"},
			{"SELECT count(*) FROM firth_events('production', '2026-11-02', '2026-11-04')", "80"},
			{"SELECT count(*), count(DISTINCT firth_events.event) FROM firth_events('production', '2026-11-02 01:00', '2026-11-02 02:00') WHERE event <> 'x'", "2,2"},
			{"SELECT count(*) FROM firth_events('production', from => now() + INTERVAL 100 YEARS)", "0"},
			{"SELECT count(*) FROM firth_events('production') e JOIN firth_files('production') f ON e.ts::DATE = f.day", "200"},
			{"WITH e AS (FROM firth_events('production', '2026-11-02', '2026-11-04')) SELECT count(*) FROM e WHERE event = 'opened'", "20"},
		} {
			if got := rows(t, e, everyone, c.sql); got != c.want {
				t.Errorf("remote %v: %s: %q, want %q", remote, c.sql, got, c.want)
			}
		}
		if got := rows(t, e, everyone, "SELECT count(*) FROM firth_events('production', $1, $2) WHERE event = $3", "2026-11-02", "2026-11-04", "opened"); got != "20" {
			t.Errorf("with parameters: %s", got)
		}
	}
}

// What a statement reads, of a lake that is elsewhere.
func TestFilesThatAStatementNeeds(t *testing.T) {
	e, l := newLake(t, 6)
	l.remote = true
	for _, c := range []struct {
		sql  string
		want string // the days
	}{
		{"SELECT count(*) FROM lake.production", ""},
		{"SELECT count(*) FROM lake.production AS OF 7000000000000003", ""},
		{"SELECT count(*) + 1, (SELECT count(*) FROM lake.production WHERE ts >= '2026-11-06') FROM lake.production", "6"},
		{"SELECT count(*) FROM lake.production a JOIN lake.production b ON a.user_id = b.user_id WHERE a.ts < '2026-11-02'", "1 2 3 4 5 6"},
		{"SELECT count(event) FROM lake.production", "1 2 3 4 5 6"},
		{"SELECT count(*) FROM firth_events('production', '2026-11-03', '2026-11-04')", "2 3"},
		{"SELECT count(*) FROM lake.production WHERE ts >= '2026-11-05'", "5 6"},
		{"SELECT count(*) FROM lake.production WHERE ts::DATE = '2026-11-02'", "2"},
		{"SELECT count(*) FROM lake.production WHERE date_trunc('day', ts) = '2026-11-02'", "2"},
		{"SELECT count(*) FROM lake.production WHERE ts BETWEEN '2026-11-02' AND '2026-11-03 00:00:00'", "2 3"},
		{"SELECT count(*) FROM lake.production WHERE ts < '2026-11-02' OR ts > TIMESTAMP '2026-11-05 12:00' AND type = 'track'", "1 5 6"},
		{"SELECT count(*) FROM lake.production WHERE received_at >= '2026-11-04' AND received_at < '2026-11-05'", "3 4"},
		{"SELECT count(*) FROM lake.production WHERE event = 'zoo'", ""},
		{"SELECT count(*) FROM lake.production WHERE event IN ('zoo', '0')", ""},
		{"SELECT count(*) FROM lake.production WHERE event IN ('zoo', 'opened') AND ts < '2026-11-02'", "1"},
		{"SELECT * FROM lake.production WHERE ts >= '2026-11-05' ORDER BY ts DESC LIMIT 10", "5 6"},
		{"WITH e AS (SELECT *, event AS name FROM lake.production) SELECT name, count(*) FROM e WHERE ts >= '2026-11-06' GROUP BY ALL", "6"},
		{"SELECT count(*) FROM lake.production a JOIN lake.production b USING (user_id) WHERE a.ts < '2026-11-02' AND b.ts >= '2026-11-06'", "1 6"},
		{"SELECT count(*) FROM lake.production a LEFT JOIN lake.production b ON a.user_id = b.user_id AND b.ts >= '2026-11-06' WHERE a.ts < '2026-11-02'", "1 6"},
		{"SELECT (SELECT max(event) FROM lake.production WHERE ts < '2026-11-02'), (SELECT count(*) FROM lake.production p WHERE p.ts >= '2026-11-06')", "1 6"},
		{"SELECT * FROM lake.production LIMIT 0", ""},
		{"DESCRIBE lake.production", ""},
		{"SELECT count(*) FROM lake.production WHERE false", ""},
		{"SELECT count(*) FROM lake.production WHERE ts >= '2026-11-05' AND ts < '2026-11-05'", ""},
		{"SELECT count(*) FROM lake.production AS OF 7000000000000003 WHERE ts >= '2026-11-02'", "2 3"},
		{"SELECT count(*) FROM firth_events('production', '2026-11-03', '2026-11-04') WHERE ts >= '2026-11-03'", "3"},
		{"EXPLAIN SELECT count(*) FROM lake.production WHERE ts >= '2026-11-06'", "6"},
		{"SUMMARIZE SELECT event FROM lake.production WHERE ts >= '2026-11-06'", "6"},
		{"SELECT count(*) FROM lake.production WHERE event = e'a\\nts>=''2030-01-01 00:00:00+00''::TIMESTAMP WITH TIME ZONE'", "1 2 3 4 5 6"},
		{"SELECT event FROM firth.dead_letters, (SELECT 1 AS event)", ""},
	} {
		l.opened = nil
		rows(t, e, everyone, c.sql)
		var got []string
		for _, name := range l.opened {
			got = append(got, strings.TrimLeft(strings.TrimSuffix(strings.TrimPrefix(name, "day"), ".parquet"), "0"))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s reads %v, want %s", c.sql, got, c.want)
		}
	}
	rows(t, e, everyone, "SELECT count(*) FROM lake.production WHERE ts >= $1::TIMESTAMPTZ AND event = $2", "2026-11-06", "opened")
	if len(l.opened) != 1 {
		t.Errorf("with parameters: %v", l.opened)
	}
}

// Files that are at hand are opened without much thought, unless they are many.
func TestFilesAtHand(t *testing.T) {
	for days, want := range map[int]int{6: 6, 101: 2} {
		e, l := newLake(t, days)
		l.remote, l.near = true, true
		last := l.states[len(l.states)-1].files[days-1].Day
		from := last.AddDate(0, 0, -1).Format(time.DateOnly)
		text := "SELECT count(*) FROM lake.production WHERE ts >= '" + from + "'"
		got := rows(t, e, everyone, text)
		if len(l.opened) != want {
			t.Errorf("%d files were opened of %d, want %d", len(l.opened), days, want)
		}
		l.near = false
		if again := rows(t, e, everyone, text); again != got || len(l.opened) != 2 {
			t.Errorf("of %d files: %s, with %d of them: %s", days, got, len(l.opened), again)
		}
	}
}

// A statement over the files that it was thought to need gives what it gives over all.
func TestPruningLosesNoRow(t *testing.T) {
	e, l := newLake(t, 8)
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	read, all := 0, 0
	for range 250 {
		text := randomStatement(r, 0)
		l.remote = false
		want := rows(t, e, everyone, strings.ReplaceAll(text, "lake.production", "lake.plain"))
		l.remote = true
		l.opened = nil
		if got := rows(t, e, everyone, text); got != want {
			t.Fatalf("%s\n%s\nover %v, want\n%s", text, got, l.opened, want)
		}
		read, all = read+len(l.opened), all+len(l.states)
	}
	if read > all*9/10 {
		t.Errorf("%d of %d files are read: hardly any were left out", read, all)
	}
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// randomCondition is over the columns that files are left out by, and others.
func randomCondition(r *rand.Rand, table string, depth int) string {
	at := func() string {
		return fmt.Sprintf("'2026-11-%02d %02d:%02d:00'", 1+r.IntN(9), r.IntN(24)*r.IntN(2), 12*r.IntN(5)*r.IntN(2))
	}
	day := func() string { return fmt.Sprintf("'2026-11-%02d'", 1+r.IntN(9)) }
	name := func() string {
		return pick(r, "'closed'", "'it''s'", "'opened'", "'opened '", "''", "'a'", "'zoo'", `e'a\nts>=''2030-01-01 00:00:00+00''::TIMESTAMP WITH TIME ZONE'`)
	}
	op := func() string { return pick(r, "=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM") }
	column := table + pick(r, "ts", "received_at")
	if depth < 2 && r.IntN(2) == 0 {
		n := pick(r, " AND ", " OR ")
		return "(" + randomCondition(r, table, depth+1) + n + randomCondition(r, table, depth+1) + n + randomCondition(r, table, depth+1) + ")"
	}
	switch r.IntN(13) {
	case 0, 1, 2:
		return column + " " + op() + " " + at()
	case 3:
		return column + "::DATE " + op() + " " + day()
	case 4:
		return column + " BETWEEN " + at() + " AND " + at()
	case 5:
		return "date_trunc('" + pick(r, "day", "hour", "month") + "', " + column + ") " + op() + " " + day()
	case 6:
		return table + "event " + op() + " " + name()
	case 7:
		return table + "event " + pick(r, "IN", "NOT IN") + " (" + name() + ", " + name() + ", " + name() + ")"
	case 8:
		return column + " IN (" + at() + "::TIMESTAMPTZ, " + day() + ")"
	case 9:
		return "NOT " + randomCondition(r, table, 2)
	case 10:
		return table + "event " + pick(r, "LIKE 'o%'", "IS NOT NULL", "IS NULL", "ILIKE '%e%'")
	case 11:
		return pick(r, "year(", "day(", "hour(") + column + ") " + op() + " 3"
	default:
		return table + "user_id = 'u3'"
	}
}

func randomStatement(r *rand.Rand, depth int) string {
	where := func(table string) string { return randomCondition(r, table, 0) }
	switch r.IntN(14) {
	case 10:
		return "SELECT count(*) FROM lake.production a, lake.production b" + pick(r, "", " WHERE "+where("b."))
	case 11:
		return "SELECT 1 AS one, count(*) OVER () FROM lake.production WHERE EXISTS (FROM lake.production WHERE " + where("") + ") LIMIT 7"
	case 12:
		return "WITH e AS (SELECT * FROM lake.production) SELECT (SELECT count(*) FROM e), (SELECT count(*) FROM e WHERE " + where("") + ")" + pick(r, "", ", (SELECT count(DISTINCT event) FROM e)")
	case 0:
		return "SELECT count(*), min(message_id) FROM lake.production WHERE " + where("")
	case 1:
		return "SELECT event, count(*), max(ts) FROM lake.production WHERE " + where("") + " GROUP BY ALL HAVING count(*) > 3 ORDER BY ALL"
	case 2:
		return "SELECT * FROM lake.production WHERE " + where("") + " ORDER BY ts DESC, message_id LIMIT 5"
	case 3:
		return "WITH e AS (SELECT *, ts::DATE AS d FROM lake.production), f AS (SELECT * FROM e WHERE " + where("") + ") SELECT d, count(*) FROM f WHERE " + where("") + " GROUP BY ALL ORDER BY ALL"
	case 4:
		return "SELECT count(*), max(a.message_id) FROM lake.production a " + pick(r, "LEFT", "RIGHT", "FULL", "INNER", "SEMI", "ANTI") +
			" JOIN lake.production b ON a.user_id = b.user_id AND " + where("b.") + " AND " + where("a.") + " WHERE " + where("a.")
	case 5:
		return "SELECT count(*) FROM lake.production a WHERE EXISTS (SELECT 1 FROM lake.production b WHERE b.ts " + pick(r, "<", ">") + " a.ts AND " + where("b.") + ") AND " + where("a.")
	case 6:
		return "SELECT (SELECT count(*) FROM lake.production WHERE " + where("") + ") AS n, (SELECT min(ts) FROM lake.production WHERE " + where("") + ") AS t"
	case 7:
		return "SELECT count(*) FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY ts, message_id) AS n FROM lake.production) WHERE n < 4 AND " + where("")
	case 8:
		return "SELECT count(*) FROM lake.production a, LATERAL (SELECT max(ts) AS m FROM lake.production b WHERE b.ts < a.ts AND " + where("b.") + ") x WHERE x.m IS NOT NULL AND " + where("a.")
	case 9:
		return "WITH RECURSIVE w AS (SELECT min(ts) AS t FROM lake.production WHERE " + where("") + " UNION ALL SELECT (SELECT min(ts) FROM lake.production WHERE ts > w.t + INTERVAL 1 DAY) FROM w WHERE w.t IS NOT NULL) SELECT count(*), max(t) FROM w"
	default:
		if depth > 1 {
			return "SELECT count(*) FROM lake.production"
		}
		return "SELECT count(*) FROM ((" + randomStatement(r, depth+1) + "))"
	}
}

// Errors of the lake's part, in words, for a user who may read production alone.
func TestLakeErrors(t *testing.T) {
	e, l := newLake(t, 3)
	var b strings.Builder
	for _, remote := range []bool{false, true} {
		l.remote = remote
		fmt.Fprintf(&b, "## remote: %v\n", remote)
		for _, text := range []string{
			"FROM lake.production AS OF '2020-01-01'",
			"FROM lake.production AS OF 'yesterday'",
			"FROM lake.production AS OF NULL",
			"FROM lake.production FOR VERSION AS OF 'x'",
			"FROM lake.production FOR VERSION AS OF 12",
			"FROM lake.production p AS OF p.ts",
			"FROM lake.production AT (TIMESTAMP => (SELECT max(ts) FROM lake.production))",
			"FROM lake.production AT (TIMESTAMP => getenv('HOME'))",
			"FROM lake.production AT (TIMESTAMP => (SELECT content FROM read_text('/etc/passwd')))",
			"FROM lake.production AS OF $1",
			"FROM lake.production\nAS OF '2026-11-20' WHRE ts > 1",
			"FROM lake.app AS OF '2026-11-20'",
			"FROM production.tracks AS OF '2026-11-20'",
			"WITH x AS (SELECT 1) FROM x AS OF '2026-11-20'",
			"FROM lake.production AS OF '2026-11-20'; DROP TABLE x",
			"FROM lake.nope AS OF '2026-11-20'",
			`FROM "lake.production"`,
			`FROM temp."lake.production", lake.production AS OF '2026-11-20'`,
			"FROM firth_files()",
			"FROM firth_files('app')",
			"FROM firth_files('nope')",
			"FROM firth_files('production', 'x')",
			"FROM firth_files('production', '2026-11-01', '2026-11-02', 3)",
			"FROM firth_files('production', since := '2026-11-01')",
			"FROM firth_files('production', '2026-11-01', from := '2026-11-01')",
			"FROM firth_events(getenv('HOME'))",
			"FROM firth_event('production')",
			"SELECT firth_files('production')",
			"SELECT nope FROM lake.production AS OF 7000000000000001",
			"SELECT nope FROM lake.production WHERE ts > now()",
			"SELECT event::INTEGER FROM firth_events('production') WHERE event = 'closed'",
		} {
			_, err := run(e, reader, text)
			var refused *query.Error
			if !errors.As(err, &refused) {
				t.Errorf("%s: %v", text, err)
				continue
			}
			fmt.Fprintf(&b, "%s\n  %s: %s\n", strings.ReplaceAll(text, "\n", " "), refused.Code, strings.ReplaceAll(refused.Message, "\n", " "))
			if refused.Hint != "" {
				fmt.Fprintf(&b, "  -> %s\n", strings.ReplaceAll(refused.Hint, "\n", "\n     "))
			}
			if l.held != 0 {
				t.Errorf("%s: files are held still", text)
			}
		}
	}
	golden(t, "lake_errors.txt", []byte(b.String()))
}

// Whatever the text, other spellings are found without a fault, and a plan's conditions bound a file only by what they say.
func FuzzSpellings(f *testing.F) {
	for _, text := range []string{
		"FROM lake.production FOR VERSION AS OF 12 p (a, b)", "FROM t AS OF", "as of", "AT (", "x AT (VERSION => 1) AS", "firth_files(from => $$x$$, to := e'\\'')",
		"FROM t AS OF - - (1", "AS OF INTERVAL", "AS OF a.b.", "AS OF 1::", "AS OF x AT TIME ZONE", "ts>='2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE AND (event IN ('a'",
		"optional: event='a' OR event='b'\nts<'infinity'::TIMESTAMP WITH TIME ZONE", "(CAST(ts AS DATE) = '2026-01-01'::DATE)", "/* /* */ \"", "1e+", "$tag$x", "\xff\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) { query.Spell(text) })
}
