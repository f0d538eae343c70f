package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the company database
)

// Column is a column of a table of the company database.
type Column struct {
	Name string
	Type string // string, boolean, integer or timestamp
}

// Table is a table of the company database. A cell is a string, a bool, an int64 or a time.Time, as its column says.
type Table struct {
	Name    string
	Columns []Column
	Key     int // how many of the first columns are the primary key; 0: one
	Rows    [][]any
}

// Tables returns the company's own operational database: its customers and their people.
func (m *Month) Tables() []Table {
	companies := Table{Name: "companies", Columns: []Column{
		{"id", "string"}, {"name", "string"}, {"plan", "string"}, {"paying", "boolean"}, {"created_at", "timestamp"},
	}}
	for _, c := range m.Companies {
		companies.Rows = append(companies.Rows, []any{c.ID, c.Name, c.Plan, c.Paying, c.CreatedAt})
	}
	users := Table{Name: "users", Columns: []Column{{"id", "string"}, {"email", "string"}, {"company_id", "string"}, {"role_in_company", "string"}}}
	for _, u := range m.Users {
		users.Rows = append(users.Rows, []any{u.ID, u.Email, u.Company.ID, u.Role})
	}
	return append([]Table{companies, users}, m.projectTables()...)
}

// writeDatabase makes the company database as a SQLite file; what was there under these names is replaced.
func writeDatabase(ctx context.Context, path string, tables []Table) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return fmt.Errorf("company database %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("company database %s: %w", path, err)
	}
	for _, t := range tables {
		if err := writeTable(ctx, tx, t); err != nil {
			return errors.Join(fmt.Errorf("company database %s: table %s: %w", path, t.Name, err), tx.Rollback())
		}
	}
	return tx.Commit()
}

func writeTable(ctx context.Context, tx *sql.Tx, t Table) (err error) {
	types := map[string]string{"string": "text", "boolean": "boolean", "timestamp": "timestamp", "integer": "integer"}
	var columns []string
	var key []string
	for i, c := range t.Columns {
		columns = append(columns, c.Name+" "+types[c.Type]+" not null")
		if i < max(1, t.Key) {
			key = append(key, c.Name)
		}
	}
	columns = append(columns, "primary key ("+strings.Join(key, ", ")+")")
	if _, err := tx.ExecContext(ctx, "drop table if exists "+t.Name); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "create table "+t.Name+" ("+strings.Join(columns, ", ")+")"); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, "insert into "+t.Name+" values (?"+strings.Repeat(", ?", len(t.Columns)-1)+")")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for _, row := range t.Rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = v
			if at, ok := v.(time.Time); ok {
				cells[i] = at.UTC().Format(time.RFC3339)
			}
		}
		if _, err := insert.ExecContext(ctx, cells...); err != nil {
			return err
		}
	}
	return nil
}
