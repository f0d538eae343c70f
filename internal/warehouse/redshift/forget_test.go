package redshift

import (
	"os"
	"strings"
	"testing"

	"firth/internal/table"
)

// TestForgetDialect holds the statements that forget people to a golden file.
func TestForgetDialect(t *testing.T) {
	odd := `o'neil\ "x" `
	rel := &relation{name: "identifies", kind: "r", byName: map[string]int{}}
	for i, c := range []column{
		{name: "id", physical: "varchar", kind: table.String}, {name: "user_id", physical: "int8", kind: table.Integer}, {name: "anonymous_id", physical: "varchar", kind: table.String},
		{name: "previous_id", physical: "super", kind: table.String, foreign: true}, {name: "b", physical: "bool", kind: table.Boolean},
	} {
		rel.columns = append(rel.columns, c)
		rel.byName[c.name] = i
	}
	var b strings.Builder
	for _, s := range []struct{ name, sql string }{
		{"create the ids", createForget},
		{"insert ids", insertForget(kindUser, []string{"ann", odd})},
		{"the rebuilds of a source", likeRebuild("50%_of|it's")},
		{"of calls", ofCalls(rel)},
		{"collect", collect(forgetKeys, "production", "identifies", "user_id", ofColumns(rel, "id", kindRow))},
		{"orphans", orphans("production", "identifies", "user_id")},
		{"anew", updateAnew("production", "users", "firth_again", []string{"email", odd}, []string{"uuid_ts"}, "now", false)},
		{"anew in a table that was taken over", updateAnew("production", "users", "firth_again", []string{"email"}, nil, "now", true)},
		{"vacuum", vacuum(qualified("production", odd))},
	} {
		b.WriteString("-- " + s.name + "\n" + s.sql + ";\n\n")
	}
	const path = "testdata/forget.sql"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("statements differ from %s (-update writes it):\n%s", path, b.String())
	}
}
