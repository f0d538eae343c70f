package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"firth/internal/source"
)

// Check connects and says what was found of the server.
func Check(ctx context.Context, url string, o source.Options) []source.Finding {
	l, connector, err := ready(url, o)
	if err != nil {
		return []source.Finding{found("connection", err)}
	}
	s, err := connect(ctx, connector)
	if err != nil {
		return []source.Finding{found("connection", l.fail("connect", l.name, err))}
	}
	defer s.close()
	l.grantee.Store(&s.user)
	return []source.Finding{checkServer(ctx, s, l)}
}

func checkServer(ctx context.Context, s *session, l login) source.Finding {
	version, account, encrypted := "", "", ""
	err := s.each(ctx, "SELECT @@version, CURRENT_USER()", func(row []driver.Value) error {
		version, account = asText(row[0]), asText(row[1])
		return nil
	})
	if err == nil {
		err = s.each(ctx, "SHOW SESSION STATUS LIKE 'Ssl_version'", func(row []driver.Value) error {
			encrypted = asText(row[1])
			return nil
		})
	}
	if err == nil {
		if err = s.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err == nil {
			err = s.exec(ctx, "COMMIT")
		}
	}
	if err != nil {
		return found("connection", l.fail("connect", l.name, err))
	}
	text := serverName(version) + " at " + l.place() + " as " + account
	if encrypted != "" {
		text += ", " + encrypted
	} else {
		text += ", not encrypted"
	}
	return source.Finding{What: "connection", OK: true, Found: text}
}

func serverName(version string) string {
	if v, _, ok := strings.Cut(version, "-MariaDB"); ok {
		return "MariaDB " + v
	}
	return "MySQL " + version
}

// found makes a finding of an error.
func found(what string, err error) source.Finding {
	f := source.Finding{What: what, Found: err.Error()}
	var e *source.Error
	if errors.As(err, &e) {
		f.Found, f.Hint = e.Err.Error(), e.Advice
	}
	return f
}

// Check tells what is missing before anything is copied: the connection, the right to read, the columns that are named.
func (t *Table) Check(ctx context.Context) []source.Finding {
	what := "query"
	if t.spec.Table != "" {
		what = "table " + t.spec.Table
	}
	s, release, err := t.session(ctx)
	if err != nil {
		return []source.Finding{found("connection", t.fail("connect", err))}
	}
	out := []source.Finding{checkServer(ctx, s, t.login)}
	release()
	if !out[0].OK {
		return out
	}
	d, err := t.describe(ctx)
	if err != nil {
		return append(out, found(what, err))
	}
	text := fmt.Sprintf("%d columns", len(d.fields))
	if d.rows >= 0 {
		text += fmt.Sprintf(", about %d rows", d.rows)
	}
	if len(d.key) > 0 {
		text += ", key " + names(d.key, 10)
	}
	out = append(out, source.Finding{What: what, OK: true, Found: text})
	for _, name := range t.spec.Exclude {
		if d.find(name) != nil {
			continue
		}
		f := source.Finding{What: "exclude " + name, Found: "there is no such column", Hint: "take it out of exclude"}
		if near := nearest(name, fieldNames(d.all), ""); near != "" {
			f.Hint = "did you mean " + near + "? It is copied"
		}
		out = append(out, f)
	}
	return out
}
