package odd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/mirror"
	"firth/internal/source"
	source_http "firth/internal/source/http"
	"firth/internal/source/mongo"
	source_mysql "firth/internal/source/mysql"
	source_postgres "firth/internal/source/postgres"
	"firth/internal/source/redis"
	"firth/test/server"
)

// line is a source behind a proxy that can be cut, with so many rows.
type line struct {
	proxy *server.Proxy
	rows  int
	open  func(ctx context.Context) (mirror.Source, error)
}

const (
	cutRows   = 3000
	cutPlaces = 30
)

func postgresLine(t *testing.T) *line {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	pg.Exec(database, fmt.Sprintf("CREATE TABLE m AS SELECT i AS id, repeat('x', 100) AS v FROM generate_series(1, %d) AS i", cutRows), "GRANT SELECT ON m TO PUBLIC")
	proxy := server.Fault(t, pg.Addr())
	url = server.Via(url, proxy.Addr)
	return &line{proxy, cutRows, func(ctx context.Context) (mirror.Source, error) {
		return source_postgres.Open(ctx, url, source.Spec{Table: "public.m"}, source.Options{Name: "source"})
	}}
}

func mariaLine(t *testing.T) *line {
	m := server.MariaDB(t, "11.4")
	name := m.Database()
	if _, err := m.Open(name).ExecContext(t.Context(), fmt.Sprintf("CREATE TABLE m AS SELECT seq AS id, repeat('x', 100) AS v FROM seq_1_to_%d", cutRows)); err != nil {
		t.Fatal(err)
	}
	proxy := server.Fault(t, m.Addr())
	url := strings.Replace(strings.Replace(m.Admin, "/mysql", "/"+name, 1), m.Addr(), proxy.Addr, 1)
	return &line{proxy, cutRows, func(ctx context.Context) (mirror.Source, error) {
		return source_mysql.Open(ctx, url, source.Spec{Table: "m"}, source.Options{Name: "source"})
	}}
}

func mongoLine(t *testing.T) *line {
	s := server.MongoJava(t)
	name := s.Database()
	var docs []any
	for i := range cutRows {
		docs = append(docs, bson.D{{Key: "_id", Value: i}, {Key: "v", Value: strings.Repeat("x", 100)}})
	}
	if _, err := s.Client(name).Collection("m").InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	proxy := server.Fault(t, s.Addr())
	url := strings.Replace(s.URL(name), s.Addr(), proxy.Addr, 1)
	return &line{proxy, cutRows, func(ctx context.Context) (mirror.Source, error) {
		return mongo.Open(ctx, url, source.Spec{Collection: "m"}, source.Options{Name: "source"})
	}}
}

func redisLine(t *testing.T) *line {
	keys := server.OwnRedis(t)
	p := keys.Client(0).Pipeline()
	for i := range cutRows {
		p.HSet(t.Context(), fmt.Sprintf("m:%d", i), "v", strings.Repeat("x", 100))
	}
	if _, err := p.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy := server.Fault(t, keys.Addr())
	url := strings.Replace(keys.URL(0), keys.Addr(), proxy.Addr, 1)
	return &line{proxy, cutRows, func(ctx context.Context) (mirror.Source, error) {
		return redis.Open(ctx, url, source.Spec{Keys: "m:{id}"}, source.Options{Name: "source"})
	}}
}

// httpLine answers with a line a row: with its length, in chunks, or with neither, so that only the end of the connection ends it.
func httpLine(how string) func(t *testing.T) *line {
	return func(t *testing.T) *line {
		var text strings.Builder
		for i := range cutRows {
			fmt.Fprintf(&text, `{"id":%d,"v":"%s"}`+"\n", i, strings.Repeat("x", 100))
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			switch how {
			case "length":
				w.Header().Set("Content-Length", fmt.Sprint(text.Len()))
			case "neither":
				w.Header().Set("Transfer-Encoding", "identity")
				w.Header().Set("Connection", "close")
			}
			_, _ = w.Write([]byte(text.String())) // who asked may be gone
		}))
		t.Cleanup(s.Close)
		proxy := server.Fault(t, s.Listener.Addr().String())
		return &line{proxy, cutRows, func(ctx context.Context) (mirror.Source, error) {
			return source_http.Open(ctx, "", source.Spec{URL: "http://" + proxy.Addr + "/"}, source.Options{Name: "source"})
		}}
	}
}

// read counts the rows of a reading that came to its end.
func (l *line) read(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close() //nolint:errcheck // it may be cut
	if _, err := s.Describe(ctx); err != nil {
		return 0, err
	}
	if err := s.Begin(ctx); err != nil {
		return 0, err
	}
	defer s.End() //nolint:errcheck // it may be cut
	ranges, err := s.Ranges(ctx, 1)
	if err != nil {
		return 0, err
	}
	for _, r := range ranges {
		rows, err := s.Scan(ctx, source.Request{Range: r})
		if err != nil {
			return n, err
		}
		var b source.Batch
		for {
			b.Chunk, b.Docs = nil, nil
			err = rows.Next(ctx, &b)
			if err != nil {
				break
			}
			if n += len(b.Docs); b.Chunk != nil {
				n += b.Chunk.Rows
			}
		}
		if cerr := rows.Close(); source.AtEnd(err) && cerr != nil {
			err = cerr
		}
		if !source.AtEnd(err) {
			return n, err
		}
	}
	return n, nil
}

// TestCutIsNeverTheEnd cuts the connections of every kind of source behind every thirtieth of what the server sends, by a reset and by an end:
// the reading fails and may be tried again, or it is whole.
func TestCutIsNeverTheEnd(t *testing.T) {
	for name, of := range map[string]func(*testing.T) *line{
		"postgres": postgresLine, "mariadb": mariaLine, "mongo": mongoLine, "redis": redisLine,
		"http length": httpLine("length"), "http chunks": httpLine("chunks"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := of(t)
			before := l.proxy.Received()
			if n, err := l.read(t.Context()); n != l.rows || err != nil {
				t.Fatalf("%d rows, %v", n, err)
			}
			all := l.proxy.Received() - before
			failed := 0
			for i := range cutPlaces {
				for _, orderly := range []bool{false, true} {
					if name == "mongo" && orderly == (i%2 == 0) {
						continue // its driver waits a second before it goes on
					}
					l.proxy.CutReceived(max(1, all*int64(i)/cutPlaces), orderly)
					n, err := l.read(t.Context())
					l.proxy.CutReceived(-1, false)
					switch {
					case err == nil && n != l.rows:
						t.Errorf("cut at %d of %d: %d rows, and that is the end", i, cutPlaces, n)
					case err != nil && !source.CanRetry(err):
						t.Errorf("cut at %d of %d: it is not tried again: %v", i, cutPlaces, err)
					case err != nil:
						failed++
					}
				}
			}
			if n, err := l.read(t.Context()); n != l.rows || err != nil {
				t.Errorf("after all: %d rows, %v", n, err)
			}
			t.Logf("%d bytes; %d readings failed, the others went on by themselves", all, failed)
		})
	}
}

// TestAnswerWithoutEnd: lines whose end nothing tells but the end of the connection are not taken.
func TestAnswerWithoutEnd(t *testing.T) {
	l := httpLine("neither")(t)
	l.proxy.CutReceived(-1, true) // connections end without a reset
	n, err := l.read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "length") {
		t.Errorf("%d rows, %v", n, err)
	}
}
