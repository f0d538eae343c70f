package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"firth/internal/api"
	"firth/internal/query"
)

func authorization(t *testing.T, user string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://h", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, "pw")
	return req.Header.Get("Authorization")
}

func TestMirrorsAreListed(t *testing.T) {
	h := api.New(query.New(openWarehouse(t), query.Options{}), []api.User{{Name: "ana", Password: "pw", Schemas: []string{"app"}}, {Name: "root", Password: "pw"}})
	before, after, rows := fixed.Add(-time.Minute), fixed.Add(time.Hour), int64(7)
	h.Mirrors = func() []api.Mirror {
		return []api.Mirror{
			{Name: "usage", Warehouse: "local", Schema: "app", Table: "usage", Mode: "list/get", Source: "mongodb/redis", Schedule: "list every 8h, get every 30m", State: "ok", Rows: &rows,
				NextRun: &after, LastRun: &api.WarehouseRun{ID: "r1", State: "success", StartedAt: before, FinishedAt: &before, Rows: 7}},
			{Name: "people", Warehouse: "pg", Schema: "users", Table: "people", Mode: "upsert", Source: "postgres", Schedule: "on demand", State: "degraded", Error: "connection refused", Hint: "start it"},
		}
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	root, ana := do(t, "GET", srv.URL+"/api/mirrors", "", "Authorization", authorization(t, "root")), do(t, "GET", srv.URL+"/api/mirrors", "", "Authorization", authorization(t, "ana"))
	golden(t, "mirrors.txt", []byte("root\n"+root+"\n----\nana\n"+ana+"\n"))
	if !strings.Contains(root, `"name":"people"`) || strings.Contains(ana, "people") {
		t.Errorf("root sees\n%s\nana sees\n%s", root, ana)
	}
}

// What Firth keeps beside a mirror's table is in no list, and nobody reads it.
func TestHelperTablesAreHidden(t *testing.T) {
	db := openWarehouse(t)
	exec(t, db.SQL(), "CREATE TABLE app.people AS SELECT 1 AS id", "CREATE TABLE app._firth_stage_people AS SELECT 1 AS id", "CREATE TABLE app._firth_ids_people AS SELECT 1 AS id")
	srv := httptest.NewServer(api.New(query.New(db, query.Options{}), nil))
	t.Cleanup(srv.Close)
	tables := do(t, "GET", srv.URL+"/api/tables?schema=app", "")
	if !strings.Contains(tables, "people") || strings.Contains(tables, "_firth_") {
		t.Errorf("tables: %s", tables)
	}
	if schemas := do(t, "GET", srv.URL+"/api/schemas", ""); !strings.Contains(schemas, `{"name":"app","tables":2}`) {
		t.Errorf("schemas: %s", schemas)
	}
	if reply := do(t, "POST", srv.URL+"/api/sql", `{"sql": "FROM app._firth_stage_people"}`); !strings.HasPrefix(reply, "403") {
		t.Errorf("a staging table is read: %s", reply)
	}
	if reply := do(t, "POST", srv.URL+"/api/sql", `{"sql": "FROM app.peopl"}`); strings.Contains(reply, "_firth_") {
		t.Errorf("a staging table is proposed: %s", reply)
	}
}
