package api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"firth/internal/query"
)

// Every statement of the documentation runs.
func TestDocumentedStatementsRun(t *testing.T) {
	text, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	db := openWarehouse(t)
	exec(t, db.SQL(), "CREATE TABLE production.order_completed (id VARCHAR, user_id VARCHAR, company_id BIGINT, received_at TIMESTAMPTZ)")
	engine := query.New(db, query.Options{})
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("only %d statements were found", len(blocks))
	}
	for _, block := range blocks {
		res, err := engine.Query(t.Context(), query.User{}, query.Request{SQL: block[1]})
		if err != nil {
			t.Errorf("%s\n%v", block[1], err)
			continue
		}
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	}
	// So does the one for curl.
	body := regexp.MustCompile(`-d '(\{.*\})'`).FindStringSubmatch(string(text))
	if body == nil {
		t.Fatal("no example for curl")
	}
	address, _ := serve(t, query.Options{})
	if reply := do(t, "POST", address+"/api/sql", body[1]); !strings.HasPrefix(reply, "200\n") {
		t.Error(reply)
	}
}

// The table of codes lists those that there are.
func TestEveryCodeIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []query.Code{
		query.CodeSyntax, query.CodeUnknownTable, query.CodeUnknownColumn, query.CodeUnknownFunction, query.CodeNotReadOnly, query.CodeForbidden,
		query.CodeDeadline, query.CodeTooMany, query.CodeOutOfMemory, query.CodeBadParam, query.CodeFailed, query.CodeInternal, "bad_request", "unauthorized",
	} {
		if !strings.Contains(string(text), "`"+string(code)+"`") {
			t.Errorf("docs/sql.md does not list %s", code)
		}
	}
}
