package postgres_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
	"firth/internal/vector"
)

func run(t *testing.T, c *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := c.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

type scanner interface {
	Scan(ctx context.Context, r source.Request) (source.Rows, error)
}

// read reads a range as lines: the columns as canonical text with ~ for NULL.
func read(t *testing.T, s scanner, r source.Request) (lines []string, rejects []vector.Reject) {
	t.Helper()
	rows, err := s.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	lines, rejects, err = drain(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return lines, rejects
}

func drain(ctx context.Context, rows source.Rows) (lines []string, rejects []vector.Reject, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	var b source.Batch
	for {
		err := rows.Next(ctx, &b)
		if errors.Is(err, io.EOF) {
			return lines, rejects, nil
		}
		if err != nil {
			return lines, rejects, err
		}
		for _, r := range b.Chunk.Rejects {
			r.Row += len(lines)
			rejects = append(rejects, r)
		}
		for i := range b.Chunk.Rows {
			cells := make([]string, len(b.Chunk.Vectors))
			for j, v := range b.Chunk.Vectors {
				cells[j] = "~"
				if v.Valid[i] {
					cells[j] = string(v.AppendText(nil, i))
				}
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
	}
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}
