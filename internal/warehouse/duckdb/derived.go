package duckdb

import (
	"context"
	"database/sql"

	"firth/internal/derive"
)

// ShowDerived makes lake.<name> a view of a statement, which may read lake.<source>. It does nothing while the statement stays the same.
func (d *DB) ShowDerived(ctx context.Context, name, statement string) error {
	return d.setView(ctx, "lake."+name, "CREATE OR REPLACE VIEW lake."+quote(name)+" AS "+statement)
}

// FailDerived makes every question to lake.<name> fail with the text, until ShowDerived is called.
func (d *DB) FailDerived(ctx context.Context, name, text string) error {
	return d.setView(ctx, "lake."+name, failingView("lake."+quote(name), [][2]string{{"error", "VARCHAR"}}, text))
}

// Parquet is a relation of the columns over files, which have all of them; over no files it is empty and has the same types.
func (d *DB) Parquet(files []string, columns []derive.Column) string {
	return Parquet(files, columns)
}

// Parquet is [DB.Parquet].
func Parquet(files []string, columns []derive.Column) string {
	list := make([][2]string, len(columns))
	for i, c := range columns {
		list[i] = [2]string{c.Name, c.Type}
	}
	return "(" + parquetSelect(list, files) + ")"
}

// Conn is the connection of the workshop, for parsing. It is not to be closed.
func (w *Workshop) Conn() *sql.Conn { return w.db.writer }
