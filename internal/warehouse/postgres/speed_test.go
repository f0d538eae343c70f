package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/test/server"
)

// chunk is n track calls from an offset on: a row of tracks and one of an event's table each, twenty such tables.
func chunk(from, n int) *warehouse.Batch {
	base := []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "anonymous_id", Type: table.String}, {Name: "user_id", Type: table.String},
		{Name: "sent_at", Type: table.Timestamp}, {Name: "timestamp", Type: table.Timestamp}, {Name: "original_timestamp", Type: table.Timestamp},
		{Name: "event", Type: table.String}, {Name: "event_text", Type: table.String}, {Name: "uuid_ts", Type: table.Timestamp}, {Name: "loaded_at", Type: table.Timestamp},
		{Name: "context_ip", Type: table.String, Path: "context.ip"}, {Name: "context_library_name", Type: table.String, Path: "context.library.name"},
		{Name: "context_page_url", Type: table.String, Path: "context.page.url"}, {Name: "context_user_agent", Type: table.String, Path: "context.userAgent"},
	}
	more := append(base[:len(base):len(base)],
		table.Column{Name: "plan", Type: table.String, Path: "properties.plan"}, table.Column{Name: "seats", Type: table.Integer, Path: "properties.seats"},
		table.Column{Name: "amount", Type: table.Float, Path: "properties.amount"}, table.Column{Name: "trial", Type: table.Boolean, Path: "properties.trial"},
	)
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: "log", From: uint64(from), To: uint64(from + n), ReceivedThrough: event.NoTime}
	tracks := &table.Batch{Name: "tracks", Columns: base}
	events := make([]*table.Batch, 20)
	for i := range events {
		events[i] = &table.Batch{Name: fmt.Sprintf("event_%02d", i), Columns: more}
	}
	for i := from; i < from+n; i++ {
		e, at := events[i%20], table.Time(1_700_000_000_000_000+int64(i)*1000)
		var cells []table.Cell
		for col, v := range []table.Value{
			table.Text(fmt.Sprintf("0b0e9fe0-0000-4000-8000-%012d", i)), at, table.Text(fmt.Sprintf("anonymous-%08d", i%5000)), table.Text(fmt.Sprintf("user-%06d", i%3000)), at, at, at,
			table.Text(e.Name), table.Text(e.Name), {}, {}, table.Text("203.0.113.7"), table.Text("analytics.js"),
			table.Text("https://example.com/a/page/with/some/path"), table.Text("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36"),
		} {
			if v.Type != table.Null {
				cells = append(cells, table.Cell{Col: int32(col), Value: v})
			}
		}
		tracks.Rows = append(tracks.Rows, table.Row{Cells: cells})
		e.Rows = append(e.Rows, table.Row{Cells: append(cells[:len(cells):len(cells)],
			table.Cell{Col: 15, Value: table.Text("enterprise")}, table.Cell{Col: 16, Value: table.Int(int64(i))},
			table.Cell{Col: 17, Value: table.Float64(float64(i) / 7)}, table.Cell{Col: 18, Value: table.Bool(i%2 == 0)})})
	}
	b.Tables = append([]*table.Batch{tracks}, events...)
	return b
}

// BenchmarkLoad loads chunks of 30,000 calls, and beside it copies the same rows with bytes that are ready: what a bare COPY takes. The
// share is the load's rate as a part of that of the bare copy.
func BenchmarkLoad(b *testing.B) {
	pg := server.Postgres(b, "15")
	url, _ := pg.Loader()
	d, err := Open(b.Context(), url, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	const calls = 30_000
	var load, bare time.Duration
	n := 0
	for b.Loop() {
		w := chunk(n*calls, calls)
		n++
		began := time.Now()
		if _, err := d.Load(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		load += time.Since(began)
		bare += bareCopy(b, d, w)
	}
	b.ReportMetric(float64(n*calls)/load.Seconds(), "calls/s")
	b.ReportMetric(100*bare.Seconds()/load.Seconds(), "%of-bare")
}

func bareCopy(b *testing.B, d *DB, w *warehouse.Batch) time.Duration {
	b.Helper()
	ctx := context.Background()
	var ready [][]byte
	var into []string
	for _, t := range w.Tables {
		s, err := scan(t)
		if err != nil {
			b.Fatal(err)
		}
		state, err := d.readState(ctx, w.Source, w.Schema, []string{t.Name})
		if err != nil {
			b.Fatal(err)
		}
		p, err := project(t, s, state[t.Name], 0)
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(newRowReader(p))
		if err != nil {
			b.Fatal(err)
		}
		copyTo := "bare_" + t.Name
		if _, err := d.conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS bare; CREATE TABLE IF NOT EXISTS bare."+copyTo+" (LIKE production."+t.Name+")"); err != nil {
			b.Fatal(err)
		}
		ready, into = append(ready, data), append(into, copyInto("bare."+copyTo, p.names()))
	}
	began := time.Now()
	if err := d.inTx(ctx, func(ctx context.Context) error {
		for i := range ready {
			if _, err := d.conn.PgConn().CopyFrom(ctx, bytes.NewReader(ready[i]), into[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
