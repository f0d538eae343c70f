package postgres

import (
	"strings"

	"firth/internal/warehouse"
)

// The statements of replays and swaps, built as those in dialect.go.

// notTwice is the condition that no row before the staged one has its id.
func notTwice(staged, key string) string {
	return "NOT EXISTS (SELECT FROM " + staged + " AS d WHERE d." + quote(key) + " = s." + quote(key) + " AND d.ctid < s.ctid)"
}

// notListed is the condition that the discards do not hold the staged one, and that none before it in the staging is equal. The time of
// the load is no part of what they say.
func notListed(target, staged string) string {
	var same, twice []string
	for _, c := range warehouse.DiscardColumns() {
		if c.Name != "loaded_at" {
			q := quote(c.Name)
			same = append(same, "t."+q+" IS NOT DISTINCT FROM s."+q)
			twice = append(twice, "d."+q+" IS NOT DISTINCT FROM s."+q)
		}
	}
	// Equality lets the server hash; what is compared beyond it are NULLs.
	same = append(same, "t.row_id = s.row_id")
	twice = append(twice, "d.row_id = s.row_id", "d.ctid < s.ctid")
	return "NOT EXISTS (SELECT FROM " + target + " AS t WHERE " + strings.Join(same, " AND ") + ")" +
		" AND NOT EXISTS (SELECT FROM " + staged + " AS d WHERE " + strings.Join(twice, " AND ") + ")"
}

// updateRecomputed brings rows of users or accounts to what a query gives for their ids; grows keeps a later received_at, which may be
// that of a call that was never loaded here. $1 is the time of the load.
func updateRecomputed(target, query string, columns, stamps []string, grows bool) string {
	received := "coalesce"
	if grows {
		received = "greatest"
	}
	set := []string{quote("received_at") + " = " + received + "(n." + quote("received_at") + ", t." + quote("received_at") + ")"}
	for _, c := range columns {
		set = append(set, quote(c)+" = coalesce(n."+quote(c)+", t."+quote(c)+")")
	}
	for _, c := range stamps {
		set = append(set, quote(c)+" = $1::timestamptz")
	}
	return "UPDATE " + target + " AS t SET " + strings.Join(set, ", ") + " FROM (" + query + ") AS n WHERE t." + quote("id") + "::text = n." + quote("id") +
		" AND $1::timestamptz IS NOT NULL"
}

// saveOwn keeps, by id, columns that a rebuild does not have.
func saveOwn(saved, target string, own []string) string {
	return "CREATE TEMPORARY TABLE " + saved + " USING heap ON COMMIT DROP AS SELECT DISTINCT ON (" + quote("id") + ") " + quote("id") + "::text AS firth_id, " +
		strings.Join(quoteAll(own), ", ") + " FROM " + target + " WHERE " + quote("id") + " IS NOT NULL ORDER BY " + quote("id")
}

// keepAdopted keeps the rows of before a take-over that the rebuild does not have.
func keepAdopted(kept, target, from string, old *relation) string {
	var columns []string
	for _, c := range old.columns {
		if !c.fixed {
			columns = append(columns, "t."+quote(c.name))
		}
	}
	b := "CREATE TEMPORARY TABLE " + kept + " USING heap ON COMMIT DROP AS SELECT " + strings.Join(columns, ", ") + " FROM " + target + " AS t WHERE NOT EXISTS (SELECT FROM " +
		from + " AS n WHERE n." + quote("id") + " = t." + quote("id") + "::text)"
	if old.through.Year() < farYear {
		b += " AND coalesce(t." + quote("received_at") + " <= " + literal(old.through.UTC().Format("2006-01-02 15:04:05.999999+00")) + "::timestamptz, true)"
	}
	return b
}

// fillFrom are the statements that copy the rebuilt rows: those whose own columns were saved with these, the others with their
// defaults. saved is "" where nothing was.
func fillFrom(target, from, saved string, columns, own []string) []string {
	list, values := strings.Join(quoteAll(columns), ", "), make([]string, len(columns))
	for i, c := range columns {
		values[i] = "n." + quote(c)
	}
	plain := "INSERT INTO " + target + " (" + list + ") SELECT " + strings.Join(values, ", ") + " FROM " + from + " AS n"
	if saved == "" {
		return []string{plain}
	}
	kept := make([]string, len(own))
	for i, c := range own {
		kept[i] = "k." + quote(c)
	}
	return []string{
		"INSERT INTO " + target + " (" + list + ", " + strings.Join(quoteAll(own), ", ") + ") SELECT " + strings.Join(values, ", ") + ", " + strings.Join(kept, ", ") +
			" FROM " + from + " AS n JOIN " + saved + " AS k ON k.firth_id = n." + quote("id"),
		plain + " WHERE NOT EXISTS (SELECT FROM " + saved + " AS k WHERE k.firth_id = n." + quote("id") + ")",
	}
}

// moveCatalogue are the statements that make the rebuilt tables ($5) of source $3 in schema $4 those of source $1 in schema $2.
func moveCatalogue() []string {
	rows := " FROM _firth.%s WHERE source = $3 AND schema_name = $4 AND table_name = ANY ($5)"
	return []string{
		"INSERT INTO _firth.tables AS t SELECT $1, $2, table_name, first_seen, false, NULL::timestamptz" + strings.ReplaceAll(rows, "%s", "tables") + " ON CONFLICT DO NOTHING",
		"INSERT INTO _firth.columns AS c SELECT $1, $2, table_name, column_name, type, path, first_seen, ordinal" + strings.ReplaceAll(rows, "%s", "columns") +
			" ON CONFLICT (source, schema_name, table_name, column_name) DO UPDATE SET type = excluded.type, path = excluded.path",
	}
}
