package mysql_test

import (
	"database/sql"
	"math"
	"os"
	"strings"
	"testing"

	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

// version is the MariaDB that most tests run on; FIRTH_TEST_MARIADB names another.
func version() string {
	if v := os.Getenv("FIRTH_TEST_MARIADB"); v != "" {
		return v
	}
	return "11.4"
}

func TestConformance(t *testing.T) {
	m := server.MariaDB(t, version())
	warehousetest.Run(t, func(t *testing.T) *warehousetest.Target {
		m.Wipe()
		return target(t, m, m.Admin)
	})
}

func target(t *testing.T, m *server.Maria, url string) *warehousetest.Target {
	db := open(t, url)
	return &warehousetest.Target{
		Warehouse: db, Rules: name.MySQL(), DB: reader(t, m),
		Quote: func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" },
		Reopen: func(t *testing.T) *warehousetest.Target {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return target(t, m, url)
		},
		User: func(t *testing.T, statements ...string) *warehousetest.Target {
			m.Exec(statements...)
			return target(t, m, url)
		},
		Unfit: func(v table.Value) string {
			if v.Type == table.Float && (math.IsNaN(v.Float64()) || math.IsInf(v.Float64(), 0)) {
				return "out_of_range"
			}
			return ""
		},
		MostColumns: 970, // a row of more is too long for half a page of InnoDB
		Segment:     map[string]string{"received_at": "datetime(3)", "uuid_ts": "datetime(3)", "loaded_at": "datetime(3)"},
	}
}

// open opens a warehouse that is closed with the test.
func open(t *testing.T, url string) *mysql.DB {
	t.Helper()
	db, err := mysql.Open(t.Context(), url, mysql.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// reader is a pool as somebody who reads the tables has it.
func reader(t *testing.T, m *server.Maria) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", strings.Replace(strings.TrimPrefix(m.Admin, "mysql://"), "@"+m.Addr()+"/mysql", "@tcp("+m.Addr()+")/", 1)+
		"?parseTime=true&time_zone=%27%2B00%3A00%27")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
