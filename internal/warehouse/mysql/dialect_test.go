package mysql

import (
	"flag"
	"os"
	"strings"
	"testing"

	"firth/internal/table"
)

var updateSQL = flag.Bool("update-sql", false, "write testdata/dialect.sql anew")

// TestDialect holds the statements to a golden file.
func TestDialect(t *testing.T) {
	const schema, name, collation = "it's `mine`", `t"1`, "utf8mb4_nopad_bin"
	columns := []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "a`b", Type: table.String, Path: "p"},
		{Name: "i", Type: table.Integer, Path: "p"}, {Name: "f", Type: table.Float, Path: "p"}, {Name: "b", Type: table.Boolean, Path: "p"},
	}
	have := []*column{
		{name: "id", data: "varchar", full: "varchar(255)", charset: "utf8mb4", collate: collation, typ: table.String, chars: 255},
		{name: "n", data: "bigint", full: "bigint(20)", typ: table.Integer},
	}
	made, err := createTable(schema, name, columns, "id", collation)
	if err != nil {
		t.Fatal(err)
	}
	added, err := addColumns(schema, name, columns[2:], collation)
	if err != nil {
		t.Fatal(err)
	}
	target := qualified(schema, name)
	got := strings.Join([]string{
		createSchema(schema, collation), made, added,
		modifyColumn(schema, name, "n", "DOUBLE", true), modifyColumn(schema, name, "id", "VARCHAR(768)", false),
		addKey(schema, name, "id", true), addKey(schema, name, "id", false),
		listInexact(schema, name, "n", true, true, timeLiteral(0), "utf8mb4_nopad_bin"),
		listInexact(schema, name, "n", false, false, timeLiteral(0), "utf8mb4_nopad_bin"),
		createStage("`_firth`.`stage_1`", have), dropStage("`_firth`.`stage_1`"),
		updateFromStage(target, "`_firth`.`stage_1`", []string{"id", "received_at", "n"}, false),
		updateFromStage(target, "`_firth`.`stage_1`", []string{"id", "received_at", "n"}, true),
		insertMissing(target, "`_firth`.`stage_1`", []string{"id", "n"}, ""),
		insertMissing(target, "`_firth`.`stage_1`", []string{"id", "n"}, "s.`received_at` > "+timeLiteral(0)),
		insertNewDiscards(target, "`_firth`.`stage_1`", []string{"row_id", "value"}),
		loadInfile("firth-1", target, []string{"id", "n"}, []string{"uuid_ts", "loaded_at"}, timeLiteral(0)),
		sameText("s.`id`", have[0], "i.`user_id`"),
		literal("\x00\n\r\x1a'\\\"\t"),
		setupStatements("load'er", []string{"production", "a_b%"}),
	}, ";\n")
	const file = "testdata/dialect.sql"
	if *updateSQL {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (-update-sql writes it anew):\n%s", file, got)
	}
}

// TestDefinition reads what SHOW CREATE TABLE says.
func TestDefinition(t *testing.T) {
	d := parseDefinition("CREATE TABLE `t` (\n  `id` varchar(255) DEFAULT NULL,\n  `a``, b` int(11) DEFAULT 5 COMMENT 'x, y',\n  `g` int(11) GENERATED ALWAYS AS (1) VIRTUAL,\n" +
		"  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`a``, b`),\n  KEY `k (x)` (`id`,`g` DESC),\n  CONSTRAINT `c` CHECK (`g` > 0),\n  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `o` (`id`)\n) ENGINE=InnoDB")
	if len(d.columns) != 3 || d.columns["a`, b"] != "`a``, b` int(11) DEFAULT 5 COMMENT 'x, y'" {
		t.Errorf("columns %q", d.columns)
	}
	var names []string
	for _, k := range d.keys {
		names = append(names, k.name)
	}
	if strings.Join(names, "|") != "PRIMARY|u|k (x)|c" {
		t.Errorf("keys %q", names)
	}
	c := &carrying{to: &relation{columns: []*column{{name: "id", data: "longtext"}, {name: "g", data: "int"}}}}
	if got := c.fitKey(d.keys[2].text); got != "KEY `k (x)` (`id`(191),`g` DESC)" {
		t.Errorf("key %s", got)
	}
}
