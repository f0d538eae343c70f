// Package demo shows the product at work: a month of a believable company's calls, sent by the real tracking API to a server,
// and questions about it answered in SQL, together with the company's own databases.
//
// The month is the same whenever it is made for the same day. The package speaks to the server over HTTP alone, as any SDK and
// any client would.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// Source is the name of the one source of the demo's server; the SQL of the questions speaks of it.
const Source = "demo"

// Schema is the schema of the company database's tables in the warehouse.
const Schema = "app"

// DefaultSeed makes the month that the documentation shows.
const DefaultSeed = 1

// Server is the server to which the demo speaks.
type Server struct {
	URL      string // as in http://127.0.0.1:8080
	WriteKey string // of Source
	Data     string // its data folder
	// Mirror brings the tables of the two databases into the warehouse, and returns how many rows they have.
	Mirror func(ctx context.Context) (rows int64, err error)
}

// Options of a demo.
type Options struct {
	// Start starts the server and returns when it takes calls. Who gives it ends the server after Run.
	Start func(ctx context.Context) (Server, error)

	Seed     uint64    // 0: DefaultSeed
	Now      time.Time // zero: the present
	Database string    // where to put the company database, a SQLite file
	Usage    string    // where to put the database of its counters, another
	Once     bool      // end after the answers; else Run returns when ctx ends

	Program  string // how the reader calls this program; "": firth
	Out      io.Writer
	Terminal bool // Out is a terminal: bars move and titles are bold
}

func (o *Options) program() string { return cmp.Or(o.Program, "firth") }

// Run shows the demo. It returns nil after the answers with Once, or when ctx ends while the server is up for more questions.
func Run(ctx context.Context, o Options) error {
	if o.Seed == 0 {
		o.Seed = DefaultSeed
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	p := &printer{out: o.Out, terminal: o.Terminal}
	p.line("")
	p.title("Firth demo: a month of Tideline, a reporting tool that %d companies use", companyCount)
	p.line("")
	month := MakeMonth(o.Seed, o.Now)
	if err := errors.Join(writeDatabase(ctx, o.Database, month.Tables()), writeDatabase(ctx, o.Usage, month.UsageTables())); err != nil {
		return err
	}
	server, err := o.Start(ctx)
	if err != nil {
		return err
	}
	show := &show{printer: p, month: month, server: server, client: &http.Client{Timeout: time.Minute, Transport: transport()}}
	if err := show.fill(ctx, o); err != nil {
		return err
	}
	if err := show.ask(ctx); err != nil {
		return err
	}
	if !o.Once {
		show.invite(o)
		if p.err == nil {
			<-ctx.Done()
		}
	}
	return p.err
}

// transport keeps a connection for every lane.
func transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: atOnce, DisableCompression: true}
}

// show is a demo under way.
type show struct {
	printer *printer
	server  Server
	client  *http.Client
	month   *Month
}

// fill mirrors the databases, sends the month, and waits until every call is a row.
func (s *show) fill(ctx context.Context, o Options) error {
	m, p := s.month, s.printer
	p.fact("server", "%s", s.server.URL)
	p.fact("data", "%s", s.server.Data)
	p.fact("company", "%s companies, %s users and %s projects, in %s", count(len(m.Companies)), count(len(m.Users)), count(len(m.Projects)), filepath.Base(o.Database))
	p.fact("calls", "%s in the %d days to %s, by %d client libraries", count(len(m.Calls)), days,
		m.today.AddDate(0, 0, -1).Format(time.DateOnly), libraries)
	begin := time.Now()
	rows, err := s.server.Mirror(ctx)
	if err != nil {
		return fmt.Errorf("mirror the company database: %w", err)
	}
	p.fact("mirrors", "%s rows of six tables in schema %s, %.1f s", count(int(rows)), Schema, time.Since(begin).Seconds())
	p.line("")
	begin = time.Now()
	bar := p.bar("sending", len(m.Calls))
	send := &sender{month: m, client: s.client, url: s.server.URL, key: s.server.WriteKey, sent: bar.add}
	if err := send.run(ctx); err != nil {
		return errors.Join(err, bar.end(""))
	}
	sent := time.Now()
	if err := bar.end("%s calls acknowledged, each on disk; %s a second", count(len(m.Calls)), perSecond(len(m.Calls), sent.Sub(begin))); err != nil {
		return err
	}
	bar = p.bar("loading", len(m.Calls))
	if err := s.arrive(ctx, bar); err != nil {
		return errors.Join(err, bar.end(""))
	}
	return bar.end("every call is a row in the lake and in its table, %.1f s later", time.Since(sent).Seconds())
}

// standard tables, by the kind of call that fills them.
func (k kind) table() string {
	return [...]string{"tracks", "identifies", "pages", "screens", "groups", "aliases"}[k]
}

// arrive waits until the standard tables hold every call, and makes sure that the lake, from which they come, does.
func (s *show) arrive(ctx context.Context, bar *bar) error {
	var want, have [kinds]int
	for i := range s.month.Calls {
		want[s.month.Calls[i].kind]++
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := s.missing(ctx, &want, &have)
		loaded := 0
		for _, n := range have {
			loaded += n
		}
		bar.set(loaded)
		if len(missing) == 0 && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("not all calls became rows within %s: %s", patience, strings.Join(missing, ", ")), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// missing looks at the tables that were not complete so far, and at the lake when they are. It says which lack rows.
func (s *show) missing(ctx context.Context, want, have *[kinds]int) (missing []string, err error) {
	lacks := func(table string, n, of int) {
		if n < of {
			missing = append(missing, fmt.Sprintf("%s holds %s of %s", table, count(n), count(of)))
		}
	}
	for k := track; int(k) < kinds; k++ {
		table := Source + "." + k.table()
		if have[k] < want[k] {
			if have[k], err = s.count(ctx, table); err != nil {
				return missing, err
			}
		}
		lacks(table, have[k], want[k])
	}
	if len(missing) > 0 {
		return missing, nil
	}
	n, err := s.count(ctx, "lake."+Source)
	lacks("lake."+Source, n, len(s.month.Calls))
	return missing, err
}

// count returns the rows of a table; one that is not there yet has none.
func (s *show) count(ctx context.Context, table string) (int, error) {
	a, err := Ask(ctx, s.client, s.server.URL, "SELECT count(*) FROM "+table)
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, nil
	}
	if len(a.Rows) != 1 || len(a.Rows[0]) != 1 {
		return 0, fmt.Errorf("count the rows of %s: %d rows came", table, len(a.Rows))
	}
	var n int
	if _, err := fmt.Sscan(a.Rows[0][0], &n); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", table, err)
	}
	return n, nil
}

// ask puts the questions.
func (s *show) ask(ctx context.Context) error {
	for i, q := range Questions() {
		begin := time.Now()
		a, err := Ask(ctx, s.client, s.server.URL, q.SQL)
		if err != nil {
			return fmt.Errorf("question %d: %w", i+1, err)
		}
		s.printer.answer(i+1, q, a, time.Since(begin))
	}
	return s.printer.err
}

// invite says what to try next.
func (s *show) invite(o Options) {
	p := s.printer
	p.line("")
	p.title("It stays up. Try:")
	p.line("")
	p.line("  %s query --url %s \\", o.program(), s.server.URL)
	p.line("    \"SELECT event, count(*) FROM demo.tracks GROUP BY ALL ORDER BY 2 DESC\"")
	p.line("  %s query --url %s \\", o.program(), s.server.URL)
	p.line("    \"SELECT * FROM demo.report_exported LIMIT 5\"")
	p.line("")
	p.line("  curl -u %s: %s/v1/track -d \\", s.server.WriteKey, s.server.URL)
	p.line("    '{\"userId\":\"me\",\"event\":\"Demo Seen\",\"properties\":{\"stars\":5}}'")
	p.line("  %s query --url %s \"FROM demo.demo_seen\"   # seconds later", o.program(), s.server.URL)
	p.line("")
	p.line("  Any Segment SDK works: host %s, write key %s.", s.server.URL, s.server.WriteKey)
	p.line("  The company's databases are SQLite files, mirrored every 10 seconds:")
	p.line("  %s", o.Database)
	p.line("  %s", o.Usage)
	p.line("  Ctrl-C ends it.")
}

// perSecond returns a rate as text.
func perSecond(n int, d time.Duration) string {
	return count(int(float64(n) / max(d.Seconds(), 0.001)))
}
