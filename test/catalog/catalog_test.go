// Package catalog runs the real binary with its tables registered at a server: in PostgreSQL, and at Iceberg's own REST catalog.
package catalog

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

const config = `
sources: { production: { write_key: k } }
lake:
  flush: { every: 100ms }
  merge: { small: { every: 300ms } }
  catalog: %s
`

// TestPostgres loads, kills, merges and expires with the catalog in PostgreSQL, which goes away for a while.
func TestPostgres(t *testing.T) {
	pg := server.OwnPostgres(t, "15")
	connection, database := pg.Loader()
	u, err := url.Parse(connection)
	if err != nil {
		t.Fatal(err)
	}
	pg.Exec(database, "GRANT CREATE ON SCHEMA public TO "+u.User.Username())
	s, load := start(t, "{ type: postgres, url: "+strconv.Quote(connection)+" }")
	survives(t, s, load, pg.Stop, pg.Start)
	var tables int
	row := pg.Connect(database).QueryRow(t.Context(), "SELECT count(*) FROM iceberg_tables WHERE table_namespace = 'lake' AND table_name = 'production'")
	if err := row.Scan(&tables); err != nil || tables != 1 {
		t.Errorf("PostgreSQL registers %d tables of that name, %v", tables, err)
	}
}

// TestREST does the same with a REST catalog, and asks that for the number of rows.
func TestREST(t *testing.T) {
	rest := server.IcebergREST(t)
	s, load := start(t, "{ type: rest, url: "+rest.URL+" }")
	survives(t, s, load, rest.Stop, rest.Start)
	s.Eventually(time.Minute, "the REST catalog's own count", func() error {
		got, err := http.Get(rest.URL + "/v1/namespaces/lake/tables/production")
		if err != nil {
			return err
		}
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		if err != nil {
			return err
		}
		var table struct {
			Metadata struct {
				Current   int64 `json:"current-snapshot-id"`
				Snapshots []struct {
					ID      int64             `json:"snapshot-id"`
					Summary map[string]string `json:"summary"`
				}
			}
		}
		if err := json.Unmarshal(text, &table); err != nil {
			return err
		}
		for _, s := range table.Metadata.Snapshots {
			if s.ID == table.Metadata.Current && s.Summary["total-records"] == fmt.Sprint(load.Acked()) {
				return nil
			}
		}
		return fmt.Errorf("%d rows were acknowledged, the catalog says %.300s", load.Acked(), text)
	})
}

func start(t *testing.T, catalog string) (*rig.Server, *rig.Load) {
	t.Helper()
	s := rig.New(t, fmt.Sprintf(config, catalog))
	s.Start()
	return s, rig.NewLoad(s, "production", "k", 2, 7)
}

// survives sends events while the server is killed, and while the catalog is away: every acknowledged one is there once in the end.
func survives(t *testing.T, s *rig.Server, load *rig.Load, down, up func()) {
	t.Helper()
	load.Send(5)
	load.Settle(30 * time.Second)
	load.Start()
	s.Kill()
	s.Start()
	load.Stop()
	load.Settle(30 * time.Second)
	down()
	load.Send(3) // collecting goes on
	s.SaysInReady(time.Minute, "catalog")
	up()
	load.Settle(60 * time.Second)
	if out, err := s.Run("lake", "merge"); err != nil {
		t.Fatalf("merge: %v\n%s", err, out)
	}
	if out, err := s.Run("lake", "expire"); err != nil {
		t.Fatalf("expire: %v\n%s", err, out)
	}
	load.Settle(30 * time.Second)
	if log := s.Log(0); strings.Contains(log, "role-secret") {
		t.Error("the log holds the catalog's password")
	}
	if code := s.Stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
