package stand

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the database that is mirrored
)

// Company is the database of a company, with a table of its customers, the companies that events have the numbers of.
type Company struct {
	path string
	t    testing.TB
}

// NewCompany makes one with some companies; one of them has no events, and some events belong to none.
func NewCompany(t testing.TB) *Company {
	t.Helper()
	c := &Company{path: filepath.Join(t.TempDir(), "company.db"), t: t}
	c.Change("CREATE TABLE companies (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
		"INSERT INTO companies VALUES (0, 'Acme'), (1, 'Größer'), (2, 'It''s'), (3, '日本'), (7, 'Nobody')")
	return c
}

// Change carries out statements.
func (c *Company) Change(statements ...string) {
	c.t.Helper()
	db, err := sql.Open("sqlite", c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, statement := range statements {
		if err == nil {
			_, err = db.ExecContext(c.t.Context(), statement)
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// Config is what firth.yaml says of it: it is mirrored as crm.companies into the lake by the mirror companies, and into the embedded warehouse,
// which Firth's own SQL reads, by the mirror firms. The warehouse in the lake is called tables.
func (c *Company) Config() string {
	return fmt.Sprintf(`warehouses: { tables: { type: iceberg, every: 1s } }
databases: { company: { type: sqlite, url: %s } }
mirrors:
  companies: { from: { database: company, table: companies }, into: { warehouse: tables, schema: crm } }
  firms: { from: { database: company, table: companies }, into: { warehouse: local, schema: crm, table: companies } }
`, c.path)
}
