package query

import (
	"context"
	"database/sql"
)

// Parser parses statements. A *sql.Conn is one.
type Parser interface {
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}

// Mergeable says why rows that a statement made cannot be merged again by it, "" where they can.
func Mergeable(_ context.Context, _ Parser, _, _ string) (string, error) { return "", nil }
