package name

import (
	"crypto/sha256"
	_ "embed" // the word lists
	"encoding/hex"
	"strings"
)

// Mode says whose names are given.
type Mode uint8

// The naming modes.
const (
	Segment Mode = iota
	RudderStack
)

// Rules says how the names of one target come about. The zero value is Segment's snake case and nothing more, which is what file
// formats without reserved words want.
type Rules struct {
	// Target names the kind of warehouse, for messages.
	Target string
	Mode   Mode
	// Divide makes digits words of their own; RudderStack mode alone.
	Divide bool
	// MaxBytes is the longest identifier of the target; 0: no limit.
	MaxBytes int
	// DigitPrefix puts an underscore before a name that begins with a digit.
	DigitPrefix bool
	// Upper makes names upper case.
	Upper bool
	// Reserved tells the words, in lower case, that take an underscore in front. nil: none.
	Reserved func(word string) bool
	// System tells the schema names, in lower case, that belong to the target or to Firth itself. nil: none.
	System func(schema string) bool
}

// The word lists: words parted by white space, lines that begin with # are comments.
var (
	//go:embed reserved/duckdb.txt
	duckdbWords string
	//go:embed reserved/postgres.txt
	postgresWords string
	//go:embed reserved/rudderstack_postgres.txt
	rudderPostgresWords string
	//go:embed reserved/mysql.txt
	mysqlWords string
	//go:embed reserved/redshift.txt
	redshiftWords string
	//go:embed reserved/snowflake.txt
	snowflakeWords string
	//go:embed reserved/bigquery.txt
	bigqueryWords string
)

// DuckDB has no length limit.
func DuckDB() Rules {
	r := sqlRules("duckdb", duckdbWords, 0)
	r.System = words("information_schema", "pg_catalog", "main", "temp", "system", "lake", "firth", "_firth")
	return r
}

// Postgres cuts names to 63 bytes (NAMEDATALEN - 1).
func Postgres() Rules {
	r := sqlRules("postgres", postgresWords, 63)
	r.System = func(s string) bool { return s == "information_schema" || strings.HasPrefix(s, "pg_") }
	return r
}

// MySQL allows 64 characters; names are ASCII, so 64 bytes.
func MySQL() Rules {
	r := sqlRules("mysql", mysqlWords, 64)
	r.System = words("information_schema", "performance_schema", "mysql", "sys")
	return r
}

// Redshift cuts names to 127 bytes.
func Redshift() Rules {
	r := sqlRules("redshift", redshiftWords, 127)
	r.System = func(s string) bool { return s == "information_schema" || strings.HasPrefix(s, "pg_") }
	return r
}

// Snowflake allows 255 characters.
func Snowflake() Rules {
	r := sqlRules("snowflake", snowflakeWords, 255)
	r.System = words("information_schema")
	return r
}

// BigQuery allows 300 characters in a column name.
func BigQuery() Rules {
	r := sqlRules("bigquery", bigqueryWords, 300)
	r.System = words("information_schema")
	return r
}

// Parquet is for files, where every slug is a fine name.
func Parquet() Rules { return Rules{Target: "parquet"} }

func sqlRules(target, list string, limit int) Rules {
	return Rules{Target: target, MaxBytes: limit, DigitPrefix: true, Reserved: wordList(list)}
}

// WithRudderStack returns the rules for a schema that RudderStack created on the same target; divide is for destinations that
// were set up with underscoreDivideNumbers.
func (r Rules) WithRudderStack(divide bool) Rules {
	r.Mode, r.Divide = RudderStack, divide
	switch r.Target {
	case "postgres":
		r.Reserved = wordList(rudderPostgresWords)
	case "snowflake":
		r.Upper = true
	}
	return r
}

func words(list ...string) func(string) bool {
	set := make(map[string]bool, len(list))
	for _, w := range list {
		set[w] = true
	}
	return func(s string) bool { return set[s] }
}

// wordList tells the words of an embedded list.
func wordList(text string) func(string) bool {
	var list []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			list = append(list, strings.Fields(line)...)
		}
	}
	return words(list...)
}

// Schema returns the schema name of a source; empty when nothing of the name survives.
func (r Rules) Schema(source string) string {
	slug := Snake(source)
	if r.Mode == RudderStack {
		slug = rudderSnake(source, true, false)
		if slug == "" {
			slug = "stringempty"
		}
	}
	if slug == "" {
		return ""
	}
	name := r.identifier(slug)
	for r.System != nil && r.System(strings.ToLower(name)) {
		name = "_" + name
	}
	return r.fit(name, slug)
}

// EventTable returns the slug of a track call's event, which is what the column event holds, and the table that it would get in
// an empty schema. Both are empty when nothing of the name survives: such calls go to tracks alone.
func (r Rules) EventTable(event string) (slug, table string) {
	return r.NewTables().Table(event)
}

// Standard returns a standard name of Firth (a table or a column) as this target spells it.
func (r Rules) Standard(name string) string {
	if r.Upper {
		return strings.ToUpper(name)
	}
	return name
}

// ColumnSlug returns the slug of a property's path: its root, a dot and the keys joined with dots, such as properties.fooBar,
// traits.address.street or context.app.version. The root is part of the name for context alone. A path none of whose keys leaves
// anything has an empty slug.
func (r Rules) ColumnSlug(path string) string {
	root, keys, found := strings.Cut(path, ".")
	if !found {
		return r.slug(path)
	}
	slug := r.slug(keys)
	if root != "context" || slug == "" {
		return slug
	}
	if r.Mode == Segment {
		return "context_" + slug
	}
	return r.slug("context_" + keys)
}

// slug is the name of s before the target has its say.
func (r Rules) slug(s string) string {
	if r.Mode == RudderStack {
		return rudderSnake(s, r.Divide, true)
	}
	return Snake(s)
}

// identifier makes a slug fit to stand as an identifier, but for its length.
func (r Rules) identifier(slug string) string {
	name := slug
	if r.Upper {
		name = strings.ToUpper(slug)
	}
	if r.DigitPrefix && isDigit(slug[0]) || r.Reserved != nil && r.Reserved(slug) {
		name = "_" + name
	}
	return name
}

// limit is the greatest length of an identifier; 0: none.
func (r Rules) limit() int {
	if r.Mode == RudderStack && r.Target != "parquet" && (r.MaxBytes == 0 || r.MaxBytes > 127) {
		return 127
	}
	return r.MaxBytes
}

// fit cuts a name that is too long. RudderStack cuts and no more; Segment mode marks the cut with a hash of the slug.
func (r Rules) fit(name, slug string) string {
	limit := r.limit()
	if limit == 0 || len(name) <= limit {
		return name
	}
	if r.Mode == RudderStack {
		return name[:limit]
	}
	return r.fitHashed(name, slug)
}

// fitHashed cuts a name to the limit less nine bytes and adds an underscore and eight hexadecimal digits of the slug's SHA-256.
// The slug, not the path as written, is hashed: paths that share a column must agree on its name.
func (r Rules) fitHashed(name, slug string) string {
	sum := sha256.Sum256([]byte(slug))
	mark := "_" + hex.EncodeToString(sum[:4])
	if r.Upper {
		mark = strings.ToUpper(mark)
	}
	return name[:max(0, min(len(name), r.limit()-len(mark)))] + mark
}
