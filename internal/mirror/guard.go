package mirror

import (
	"fmt"
	"strings"

	"firth/internal/source"
	"firth/internal/warehouse"
)

// notEmpty fails where a complete reading found nothing and the table has rows: more often than not it was the wrong database, a right
// that is missing, or a table that somebody is filling anew. keys are those of all rows, where they were read apart.
func (c *copying) notEmpty(keys *digest) error {
	complete := c.full && c.cfg.Mode != ModeAppend && (c.cfg.Mode != ModeUpsert || c.cfg.DeleteMissing)
	if keys != nil {
		complete = complete && keys.Rows == 0 || !c.full && keys.Rows == 0
	}
	if !complete || c.w.total().Rows > 0 || c.cfg.MaxDelete >= 1 || c.prior.Columns == nil {
		return nil
	}
	before := c.last.Rows
	switch {
	case c.last.Settings != c.settings:
		before = c.prior.Rows
	case c.last.Keys != nil:
		before = c.last.Keys.Rows
	}
	if before <= 0 {
		return nil
	}
	return &source.Error{
		Op: "read", Name: c.cfg.Name, Err: fmt.Errorf("the source is empty and the table has about %d rows: nothing was deleted", before),
		Advice: "where that is right, set max_delete: 100% at this mirror",
	}
}

// sameKeys tells how many rows were read for nothing, because others have their key.
func (c *copying) sameKeys(done *warehouse.Published, key []string) {
	if len(key) == 0 || c.cfg.Mode == ModeReplace && !c.cfg.History {
		return
	}
	if n := c.w.total().Rows - done.Inserted - done.Updated - done.Unchanged; n > 0 {
		c.notice("%d rows have the same %s as another: of each the last that was read counts", n, strings.Join(key, ", "))
	}
}

// ownName fails where the table has a name that belongs to another mirror's rejects, or to the bookkeeping.
func (c *Config) ownName() error {
	name := strings.ToLower(c.Table.Table)
	if !strings.HasSuffix(name, warehouse.RejectsSuffix) && !strings.HasPrefix(name, "_firth_") {
		return nil
	}
	return &source.Error{
		Op: "write", Name: c.Name, Err: fmt.Errorf("the table cannot be called %s", c.Table.Table),
		Advice: "names that end with " + warehouse.RejectsSuffix + " are those of tables of rejected values, and _firth_ begins those of Firth itself: choose another table: in into",
	}
}

// maskable fails where a mask would make rows the same that are not, or where what it hides would be remembered as a position.
func (c *Config) maskable(key []string) error {
	if err := c.ownName(); err != nil {
		return err
	}
	if c.Cursor != "" && c.Mode != ModeReplace && c.hidden(c.Cursor, "") {
		return &source.Error{
			Op: "read", Name: c.Name, Err: fmt.Errorf("the cursor %s is left out or masked", c.Cursor),
			Advice: "let columns and exclude keep it as it is: what is new is told by it",
		}
	}
	if c.Mode != ModeUpsert && !c.History && len(c.Key) == 0 {
		return nil // rows are told apart as a whole, or not at all
	}
	if len(c.Key) > 0 {
		key = c.Key
	}
	for _, k := range key {
		if c.hidden(k, MaskTruncate) {
			return &source.Error{
				Op: "read", Name: c.Name, Err: fmt.Errorf("the key %s is cut short by its mask, so that different rows would be one", k),
				Advice: "mask it by hash, which keeps different values different, or choose another key",
			}
		}
	}
	return nil
}

// plainID fails where the id of a list or get is to be hidden: it is what the two go by.
func (c *Config) plainID(path string) error {
	if err := c.ownName(); err != nil {
		return err
	}
	if !c.hidden(path, "") {
		return nil
	}
	return &source.Error{
		Op: "list", Name: c.Name, Err: fmt.Errorf("the id %s is left out or masked", path),
		Advice: "let columns and exclude keep it as it is: the rows are asked for by it",
	}
}

// hidden reports whether a path, or something that it lies in, is masked by a rule that begins so; empty: by any, or left out.
func (c *Config) hidden(path, rule string) bool {
	within := func(of string) bool { return path == of || strings.HasPrefix(path, of+".") }
	for _, r := range c.Columns {
		if r.Mask != "" && strings.HasPrefix(r.Mask, rule) && within(r.Path) {
			return true
		}
	}
	for _, e := range c.Exclude {
		if rule == "" && within(e) {
			return true
		}
	}
	return false
}
