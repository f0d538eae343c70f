package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// carrying brings into a rebuilt table what only the old one has.
type carrying struct {
	*swapping
	from, to *relation
	result   *warehouse.Result
}

func (c *carrying) old() string { return qualified(c.swap.Schema, c.from.name) }
func (c *carrying) new() string { return qualified(c.swap.RebuildSchema, c.to.name) }

func (c *carrying) run(ctx context.Context) error {
	before, err := c.parts(ctx, c.old())
	if err != nil {
		return err
	}
	after, err := c.parts(ctx, c.new())
	if err != nil {
		return err
	}
	var columns []*column
	for _, have := range c.from.columns {
		// A column of ours that the rebuild has no values for is not made; one that people made, or that was there before us, is.
		if c.to.find(have.name) == nil && (!have.known || c.from.adopted) {
			columns = append(columns, have)
		}
	}
	changes := make([]string, 0, len(columns))
	for _, have := range columns {
		changes = append(changes, "ADD COLUMN "+before.columns[have.name])
	}
	for _, k := range before.keys {
		if after.has(k.name) {
			continue
		}
		changes = append(changes, "ADD "+c.fitKey(k.text))
	}
	if err := c.alter(ctx, changes); err != nil {
		return err
	}
	if err := c.copyColumns(ctx, columns); err != nil {
		return err
	}
	return c.copyRows(ctx, columns)
}

// alter makes all changes at once, or one by one where they do not go together; a key that cannot be made is told of.
func (c *carrying) alter(ctx context.Context, changes []string) error {
	if len(changes) == 0 {
		return nil
	}
	head := "ALTER TABLE " + c.new() + " "
	err := c.session.exec(ctx, head+strings.Join(changes, ", "))
	if err == nil || number(err) == 0 {
		return err
	}
	for _, change := range changes {
		err := c.session.exec(ctx, head+change)
		switch {
		case err == nil:
		case number(err) == 0 || strings.HasPrefix(change, "ADD COLUMN"):
			return err
		default:
			c.result.Notices = append(c.result.Notices, fmt.Sprintf("%s was made anew without %s, which it cannot have now (%v)",
				c.to.name, strings.TrimPrefix(change, "ADD "), err))
		}
	}
	return nil
}

// copyColumns fills columns that people added, by the id of the row. Where a row is new they have their default.
func (c *carrying) copyColumns(ctx context.Context, columns []*column) error {
	var set []string
	for _, have := range columns {
		if !have.computed && have.name != "id" {
			set = append(set, fmt.Sprintf("t.%s = s.%[1]s", quote(have.name)))
		}
	}
	if len(set) == 0 || c.from.find("id") == nil || c.to.find("id") == nil {
		return nil
	}
	if err := c.needKey(ctx); err != nil {
		return err
	}
	err := c.session.exec(ctx, "UPDATE "+c.new()+" t JOIN "+c.old()+" s ON "+sameText("t.`id`", c.to.find("id"), "s.`id`")+" SET "+strings.Join(set, ", "))
	if err != nil {
		return fmt.Errorf("copy columns: %w", err)
	}
	return nil
}

// needKey makes an index on the id of the new table, for the ids of the old one are looked up there.
func (c *carrying) needKey(ctx context.Context) error {
	id := c.to.find("id")
	if c.to.keyed || id == nil {
		return nil
	}
	err := c.session.exec(ctx, addKey(c.swap.RebuildSchema, c.to.name, id.name, id.long()))
	if err != nil && number(err) != errKeyExists {
		return fmt.Errorf("make an index on the id: %w", err)
	}
	c.to.keyed = true
	return nil
}

// copyRows brings over the rows of a table that was taken over which the rebuild does not have: the lake has no calls of them.
func (c *carrying) copyRows(ctx context.Context, added []*column) error {
	at := c.from.find("received_at")
	if !c.from.adopted || c.from.through == event.NoTime || c.from.find("id") == nil || c.to.find("id") == nil {
		return nil
	}
	if err := c.needKey(ctx); err != nil {
		return err
	}
	names := []string{"id"}
	for _, have := range c.from.columns {
		if have.name != "id" && !have.computed && (c.to.find(have.name) != nil || contains(added, have)) {
			names = append(names, have.name)
		}
	}
	where := "NOT EXISTS (SELECT 1 FROM " + c.new() + " t WHERE " + sameText("t.`id`", c.to.find("id"), "s.`id`") + ")"
	if at != nil && at.typ == table.Timestamp {
		where = "(s." + quote(at.name) + " IS NULL OR s." + quote(at.name) + " <= " + timeLiteral(c.from.through) + ") AND " + where
	}
	list := quoteAll(names)
	n, err := c.session.count(ctx, "INSERT INTO "+c.new()+" ("+list+") SELECT "+list+" FROM "+c.old()+" s WHERE "+where)
	if err != nil {
		return &warehouse.Error{
			Op: "swap", Object: c.swap.Source, Kind: warehouse.Unexpected,
			Err:  fmt.Errorf("rows of %s that were there before Firth do not fit the table as it was made anew: %w", c.old(), err),
			Hint: "keep them under another name: RENAME TABLE " + c.old() + " TO " + qualified(c.swap.Schema, c.from.name+"_before") + "; then rebuild once more",
		}
	}
	if n > 0 {
		c.result.Notices = append(c.result.Notices, fmt.Sprintf("%s kept %d rows that were there before Firth and are not in the lake", c.from.name, n))
	}
	return nil
}

func contains(list []*column, c *column) bool {
	for _, other := range list {
		if other == c {
			return true
		}
	}
	return false
}

// definition is what SHOW CREATE TABLE says of a table.
type definition struct {
	columns map[string]string // by name: the line that defines it
	keys    []key
}

// key is an index or a condition of a table.
type key struct{ name, text string }

func (d *definition) has(name string) bool {
	for _, k := range d.keys {
		if k.name == name {
			return true
		}
	}
	return false
}

var keyLine = regexp.MustCompile("^(?:(PRIMARY) KEY|(?:UNIQUE |FULLTEXT |SPATIAL )?KEY `((?:[^`]|``)+)`|CONSTRAINT `((?:[^`]|``)+)` (CHECK|FOREIGN))")

// parts reads the definition of a table.
func (c *carrying) parts(ctx context.Context, name string) (*definition, error) {
	var ignored, text string
	if err := c.session.QueryRowContext(ctx, tagged("SHOW CREATE TABLE "+name)).Scan(&ignored, &text); err != nil {
		return nil, fmt.Errorf("read the definition of %s: %w", name, err)
	}
	return parseDefinition(text), nil
}

func parseDefinition(text string) *definition {
	d := &definition{columns: map[string]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimRight(line, "\n"), ",")
		if !strings.HasPrefix(line, "  ") {
			continue
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "`") {
			if name, ok := firstName(line); ok {
				d.columns[name] = line
			}
			continue
		}
		m := keyLine.FindStringSubmatch(line)
		if m == nil || m[4] == "FOREIGN" {
			continue // other tables' names in it would be taken for those of the rebuild
		}
		d.keys = append(d.keys, key{name: m[1] + m[2] + m[3], text: line})
	}
	return d
}

// firstName is the quoted name that a line begins with.
func firstName(line string) (string, bool) {
	for i := 1; i < len(line); i++ {
		if line[i] != '`' {
			continue
		}
		if i+1 < len(line) && line[i+1] == '`' {
			i++
			continue
		}
		return strings.ReplaceAll(line[1:i], "``", "`"), true
	}
	return "", false
}

// fitKey gives those columns of a key a length that are of a text type now which an index holds a part of only.
func (c *carrying) fitKey(text string) string {
	if !strings.HasPrefix(text, "KEY") {
		return text
	}
	open := strings.Index(text, "` (")
	if open < 0 {
		return text
	}
	head, list := text[:open], text[open:]
	for _, have := range c.to.columns {
		if !strings.HasSuffix(have.data, "text") {
			continue
		}
		for _, end := range []string{",", ")", " "} {
			list = strings.ReplaceAll(list, quote(have.name)+end, fmt.Sprintf("%s(%d)%s", quote(have.name), keyChars, end))
		}
	}
	return head + list
}
