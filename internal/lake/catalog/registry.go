package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"
)

// registry is where it is written which metadata is the present one of each table: the two tables of the Iceberg JDBC catalog, in the
// SQLite file or in a PostgreSQL database. It is safe for concurrent use.
type registry struct {
	db     *sql.DB
	name   string // of the catalog
	dollar bool   // parameters are written $1, $2
}

// say writes a statement's parameters as the database takes them.
func (r *registry) say(statement string) string {
	if !r.dollar {
		return statement
	}
	var b strings.Builder
	n := 0
	for _, c := range statement {
		if c != '?' {
			b.WriteRune(c)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

// ensure makes a namespace where it is missing.
func (r *registry) ensure(ctx context.Context, namespace string) error {
	const insert = "INSERT INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true') ON CONFLICT DO NOTHING"
	if _, err := r.db.ExecContext(ctx, r.say(insert), r.name, namespace); err != nil {
		return fmt.Errorf("make namespace %s: %w", namespace, err)
	}
	return nil
}

func (r *registry) namespaces(ctx context.Context) (names []string, err error) {
	const list = "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = ? ORDER BY namespace"
	rows, err := r.db.QueryContext(ctx, r.say(list), r.name)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	return names, nil
}

// tables are the locations of the current metadata by table.
func (r *registry) tables(ctx context.Context, namespace string) (names map[string]string, err error) {
	const list = "SELECT table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?"
	rows, err := r.db.QueryContext(ctx, r.say(list), r.name, namespace)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names = map[string]string{}
	for rows.Next() {
		var name string
		var location sql.NullString
		if err := rows.Scan(&name, &location); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names[name] = location.String
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return names, nil
}

func (r *registry) current(ctx context.Context, namespace, name string) (string, error) {
	const one = "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"
	var location sql.NullString
	err := r.db.QueryRowContext(ctx, r.say(one), r.name, namespace, name).Scan(&location)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !location.Valid {
		return "", fmt.Errorf("%w: %s", ErrNoTable, name)
	}
	if err != nil {
		return "", fmt.Errorf("look up table %s: %w", name, err)
	}
	return location.String, nil
}

// insert writes the row of a new table, unless there is one.
func (r *registry) insert(ctx context.Context, namespace, name, location string) error {
	const insert = `INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, iceberg_type, metadata_location, previous_metadata_location)
		VALUES (?, ?, ?, 'TABLE', ?, NULL) ON CONFLICT DO NOTHING`
	_, err := r.db.ExecContext(ctx, r.say(insert), r.name, namespace, name, location)
	return err
}

// put makes location the current one of a table, whatever was.
func (r *registry) put(ctx context.Context, namespace, name, location string) error {
	const upsert = `INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, iceberg_type, metadata_location, previous_metadata_location)
		VALUES (?, ?, ?, 'TABLE', ?, NULL) ON CONFLICT (catalog_name, table_namespace, table_name)
		DO UPDATE SET previous_metadata_location = iceberg_tables.metadata_location, metadata_location = excluded.metadata_location`
	_, err := r.db.ExecContext(ctx, r.say(upsert), r.name, namespace, name, location)
	return err
}

// drop forgets a table.
func (r *registry) drop(ctx context.Context, namespace, name string) error {
	const del = "DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"
	_, err := r.db.ExecContext(ctx, r.say(del), r.name, namespace, name)
	return err
}

// errOther says that a row is not what it was when the commit began.
var errOther = errors.New("it was changed by another committer")

// exchange points rows from one metadata file to the next, all of them or none. An error that is table.ErrCommitFailed says none.
func (r *registry) exchange(ctx context.Context, namespace string, rows []row) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	defer tx.Rollback()
	for _, w := range rows {
		if err := r.swap(ctx, tx, namespace, w); err != nil {
			return fmt.Errorf("%w: table %s: %w", table.ErrCommitFailed, w.Table, err)
		}
	}
	return tx.Commit()
}

func (r *registry) swap(ctx context.Context, tx *sql.Tx, namespace string, w row) error {
	const where = " WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?"
	var result sql.Result
	var err error
	switch {
	case w.Drop:
		result, err = tx.ExecContext(ctx, r.say("DELETE FROM iceberg_tables"+where), r.name, namespace, w.Table, w.from)
	case w.Rename != "":
		const gone = "DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"
		if _, err := tx.ExecContext(ctx, r.say(gone), r.name, namespace, w.Rename); err != nil {
			return err
		}
		const rename = "UPDATE iceberg_tables SET table_name = ?, metadata_location = ?, previous_metadata_location = ?"
		result, err = tx.ExecContext(ctx, r.say(rename+where), w.Rename, w.to, w.from, r.name, namespace, w.Table, w.from)
	default:
		previous := any(w.from)
		if w.alone {
			previous = nil
		}
		const point = "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?, iceberg_type = 'TABLE'"
		result, err = tx.ExecContext(ctx, r.say(point+where), w.to, previous, r.name, namespace, w.Table, w.from)
	}
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = errOther
	}
	return err
}
