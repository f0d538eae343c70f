package redshift

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"firth/internal/warehouse"
)

// Check connects to the warehouse and its staging store and tells what works, for firth check. It changes nothing but a temporary table
// and two small objects, which it removes. schemas are those of the sources. No finding shows a secret.
func Check(ctx context.Context, url string, o Options, schemas []string) []warehouse.Finding {
	d, err := prepare(ctx, url, o)
	if err != nil {
		return []warehouse.Finding{finding("configuration", err)}
	}
	return d.check(ctx, schemas)
}

// finding is what an error found.
func finding(what string, err error) warehouse.Finding {
	return warehouse.Finding{What: what, Found: err.Error(), Hint: warehouse.HintOf(err)}
}

// checking collects findings.
type checking struct {
	db  *DB
	out []warehouse.Finding
}

// add notes what came of a check; found is what to say when it is well.
func (c *checking) add(what, found string, err error) bool {
	if err != nil {
		c.out = append(c.out, finding(what, c.db.fail("check", what, err)))
		return false
	}
	c.out = append(c.out, warehouse.Finding{What: what, OK: true, Found: found})
	return true
}

// wrong notes what no error says.
func (c *checking) wrong(what, found, hint string) {
	c.out = append(c.out, warehouse.Finding{What: what, Found: found, Hint: hint})
}

func (d *DB) check(ctx context.Context, schemas []string) []warehouse.Finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.hangUp()
	c := &checking{db: d}
	connected := c.add("connection", fmt.Sprintf("%s as %s", d.place, d.user), d.connected(ctx))
	if connected && c.add("server", "Amazon Redshift", d.isRedshift(ctx)) {
		c.rights(ctx)
		c.bookkeeping(ctx)
		for _, schema := range schemas {
			c.schema(ctx, schema)
		}
	} else {
		connected = false
	}
	c.staging(ctx, connected)
	return c.out
}

// rights looks at those on the database.
func (c *checking) rights(ctx context.Context) {
	const what = "rights"
	r, err := c.db.exec(ctx, "SELECT has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMP')")
	if err != nil {
		c.add(what, "", err)
		return
	}
	var missing []string
	for i, right := range []string{"CREATE", "TEMPORARY"} {
		if r.rows[0][i].String != "t" && r.rows[0][i].String != "true" {
			missing = append(missing, right)
		}
	}
	if len(missing) > 0 {
		c.wrong(what, fmt.Sprintf("%s lacks %s on the database %s", c.db.user, strings.Join(missing, " and "), c.db.database),
			fmt.Sprintf("GRANT %s ON DATABASE %s TO %s", strings.Join(missing, ", "), quote(c.db.database), quote(c.db.user)))
		return
	}
	c.add(what, "may make schemas and temporary tables", nil)
}

func (c *checking) bookkeeping(ctx context.Context) {
	const what = "bookkeeping"
	exists, err := c.db.schemaExists(ctx, "_firth")
	switch {
	case err != nil:
		c.add(what, "", err)
	case !exists:
		c.add(what, "none yet: the first load makes the schema _firth", nil)
	default:
		c.add(what, "the schema _firth can be read", c.db.readFormat(ctx))
	}
}

// schema looks at the schema of a source: whether tables can be made there, and those that exist changed.
func (c *checking) schema(ctx context.Context, schema string) {
	what := "schema " + schema
	c.db.schema = schema
	exists, err := c.db.schemaExists(ctx, schema)
	if err != nil || !exists {
		c.add(what, "none yet: the first load makes it", err)
		return
	}
	name := literal(schema)
	r, err := c.db.exec(ctx, "SELECT has_schema_privilege("+name+", 'USAGE'), has_schema_privilege("+name+", 'CREATE')")
	if err != nil {
		c.add(what, "", err)
		return
	}
	for _, v := range r.rows[0] {
		if v.String != "t" && v.String != "true" {
			c.wrong(what, fmt.Sprintf("%s may not make tables in it", c.db.user), fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s", quote(schema), quote(c.db.user)))
			return
		}
	}
	r, err = c.db.exec(ctx, "SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+
		literal(schema)+" AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) <> current_user ORDER BY c.relname LIMIT 20")
	if err != nil {
		c.add(what, "", err)
		return
	}
	if len(r.rows) > 0 {
		var names, mend []string
		for _, row := range r.rows {
			names = append(names, row[0].String+" of "+row[1].String)
			mend = append(mend, fmt.Sprintf("ALTER TABLE %s OWNER TO %s", qualified(schema, row[0].String), quote(c.db.user)))
		}
		c.wrong(what, "tables of others get no new columns: "+strings.Join(names, ", "), strings.Join(mend, "; "))
		return
	}
	c.add(what, "tables can be made and changed", nil)
}

// staging writes a part and its manifest, lets the cluster read them into a temporary table, and removes them: what a load does.
func (c *checking) staging(ctx context.Context, connected bool) {
	d := c.db
	s := &staging{store: d.store, dir: "check-" + d.newID() + "/", null: "null"}
	err := s.checkPart(ctx)
	put := c.add("staging", "can be written: "+d.store.String(), err)
	if put && connected {
		c.add("copy", "the cluster reads what is staged", d.checkCopy(ctx, s))
	}
	if err := d.store.Delete(context.WithoutCancel(ctx), s.keys...); put {
		c.add("staging removal", "what was written can be removed", err)
	}
	if put {
		err := error(nil)
		for _, e := range d.store.List(ctx, s.dir) {
			err = errors.Join(err, e)
		}
		c.add("staging listing", "what is there can be listed", err)
	}
	if d.options.IAMRole == "" {
		c.out = append(c.out, warehouse.Finding{
			What: "iam_role", OK: true, Found: "not set: Firth's own keys are handed to the cluster with each COPY", Hint: "a role keeps them at home: iam_role: arn:aws:iam::...:role/...",
		})
	}
}

const checkTable = "firth_check"

func (s *staging) checkPart(ctx context.Context) error {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte("\"checked\"\n")); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	url, err := s.put(ctx, "part.csv.gz", buf.Bytes())
	if err != nil {
		return err
	}
	body, err := json.Marshal(manifest{[]manifestEntry{{url, true}}})
	if err != nil {
		return err
	}
	_, err = s.put(ctx, "manifest", body)
	return err
}

func (d *DB) checkCopy(ctx context.Context, s *staging) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.run(ctx, createStage(checkTable, []stageColumn{{bytes: 16}})); err != nil {
		return err
	}
	if err := d.copyStaged(ctx, checkTable, 1, d.store.URL(s.dir+"manifest"), s.null); err != nil {
		return err
	}
	r, err := d.exec(ctx, "SELECT count(*) FROM "+checkTable+" WHERE c0 = 'checked'")
	if err != nil {
		return err
	}
	if r.rows[0][0].String != "1" {
		return fmt.Errorf("%s rows were read, want 1", r.rows[0][0].String)
	}
	return d.run(ctx, "DROP TABLE "+checkTable)
}
