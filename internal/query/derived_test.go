package query

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDerivedStatements judges statements of derived tables; testdata/derived.txt has each with what is said of it.
func TestDerivedStatements(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // a test's own
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := os.ReadFile("testdata/derived.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, entry := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		statement, _, _ := strings.Cut(entry, "\n=> ")
		seed, merge, seeded := strings.Cut(statement, "\n")
		if !seeded {
			seed, merge = "", statement
		}
		said := "incremental"
		for _, s := range []string{seed, merge} {
			if s == "" {
				continue
			}
			var refused *Error
			if err := CheckDerived(t.Context(), conn, "production", s); errors.As(err, &refused) {
				said = "refused: " + refused.Message + "; " + refused.Hint
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if said == "incremental" {
			why, err := Mergeable(t.Context(), conn, seed, merge)
			if err != nil {
				t.Fatal(err)
			}
			if why != "" {
				said = "whole: " + why
			}
		}
		fmt.Fprintf(&out, "%s\n=> %s\n\n", statement, said)
	}
	got := strings.TrimSpace(out.String()) + "\n"
	if got == string(text) {
		return
	}
	if os.Getenv("FIRTH_UPDATE") != "" {
		if err := os.WriteFile("testdata/derived.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("FIRTH_UPDATE=1 rewrites testdata/derived.txt; got\n%s", got)
}

func TestWhoReadsTheSourceReadsWhatIsMadeOfIt(t *testing.T) {
	made := derivedOf{"spent": "production", "other": "staging"}
	rs := &relations{main: "warehouse", made: made}
	ana := User{Name: "ana", Schemas: []string{"production"}}
	for table, want := range map[string]bool{"spent": true, "production": true, "other": false, "staging": false} {
		name := tableName{schema: "lake", table: table}
		if got := made.mayName(ana, name) && rs.allow(ana, relation{"lake", "main", table}, name) == nil; got != want {
			t.Errorf("lake.%s: %v, want %v", table, got, want)
		}
	}
	named := User{Name: "eve", Schemas: []string{"spent"}}
	if made.mayName(named, tableName{schema: "lake", table: "spent"}) {
		t.Error("a schema of the table's name gives no right to it")
	}
}
